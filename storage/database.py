"""How a database is opened, and how it is brought up to date."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(url: str) -> None:
    """Runs the migrations this database has not seen; a SQLite file is created if need be, with its folder."""
    config = Config()
    # Alembic reads `%` as the start of a placeholder.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = url
    command.upgrade(config, "head")


def open_database(url: str) -> Engine:
    """An engine; on SQLite, one whose connections behave like those of a server as far as this app can tell."""
    # Errors name the statement, never its values: some are hashes of secrets, others names of files.
    engine = create_engine(url, hide_parameters=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    # The wait comes first: it also covers the switch to WAL, which needs the file for itself for a moment.
    cursor.execute("PRAGMA busy_timeout = 10000")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()
    # SQLite's own lower() knows ASCII only, so a search for "übung" would miss "Übung.mp4".
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()
