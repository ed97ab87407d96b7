"""How a database is opened, and how it is brought up to date: a SQLite file, or a PostgreSQL server."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from core.errors import AppError

MIGRATIONS = Path(__file__).parent / "migrations"
DRIVERS = {
    "sqlite": "sqlite",
    **dict.fromkeys(("postgres", "postgresql", "postgresql+psycopg"), "postgresql+psycopg"),
}
"""By what an address may begin with, the driver that is used."""


def upgrade(url: str) -> None:
    """Runs the migrations this database has not seen; a SQLite file is created if need be, with its folder."""
    command.upgrade(_config(url), "head")


def prepare(url: str) -> None:
    """An embedded file is brought up to date; on a server, which others may use as well, that is the operator's to do.

    Raises:
        AppError: see `check`.
    """
    if make_address(url).get_backend_name() == "sqlite":
        upgrade(url)
    else:
        check(url)


def check(url: str) -> None:
    """Nothing, where the tables are those of this release.

    Raises:
        AppError: they are not, the address cannot be read, or the server cannot be reached.
    """
    engine = open_database(url)
    try:
        with engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
    except DBAPIError as error:
        raise AppError(f"The database cannot be reached: {str(error.orig).strip()}") from error
    finally:
        engine.dispose()
    wanted = ScriptDirectory.from_config(_config(url)).get_current_head()
    if found != wanted:
        raise AppError(
            f"The tables of the database are {f'at revision {found}' if found else 'not there yet'}, and this release "
            f"needs {wanted}: run `alembic upgrade head` with the same settings, then try again."
        )


def make_address(url: str) -> URL:
    """The address with the driver it is to be reached by.

    Raises:
        AppError: it is none this app can use. It is not repeated, as it may hold a password.
    """
    try:
        address = make_url(url)
        if "@" in (address.host or ""):  # the end of a password, which would be named as a host that is not found
            raise ValueError("the host holds an @")
    except (ArgumentError, ValueError) as error:
        raise AppError(
            "DATABASE_URL cannot be read; write it as postgresql://user:password@host:5432/name, and in the password "
            "%40 for @, %2F for / and %3A for a colon."
        ) from error
    if address.drivername not in DRIVERS:
        raise AppError(f"DATABASE_URL begins with {address.drivername}:, but must with postgresql:// or sqlite:///.")
    return address.set(drivername=DRIVERS[address.drivername])


def open_database(url: str) -> Engine:
    """An engine; on SQLite, one whose connections behave like those of a server as far as this app can tell."""
    # A server may have dropped a connection that lay unused, by a restart or by its own limits. Errors name the
    # statement, never its values: some are hashes of secrets, others names of files.
    engine = create_engine(make_address(url), pool_pre_ping=True, hide_parameters=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def sessions(database: Engine | str) -> sessionmaker[Session]:
    """Sessions of a store: on the engine that all stores share, or on one of its own."""
    return sessionmaker(open_database(database) if isinstance(database, str) else database)


def _config(url: str) -> Config:
    config = Config()
    # Alembic reads `%` as the start of a placeholder.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = url
    return config


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
