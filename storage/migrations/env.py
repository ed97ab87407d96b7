"""Run by Alembic for every command. The database is the one `storage.upgrade` names, or else the operator's."""

import os
from pathlib import Path

from alembic import context

from core.settings import Settings
from storage.database import open_database
from storage.tables import Base


def migrate(url: str) -> None:
    """Runs what Alembic was asked to run, all of it or nothing."""
    engine = open_database(url)
    if engine.dialect.name == "sqlite" and engine.url.database:
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            # A batch drops the old table once its rows are copied; with foreign keys on, every child row would go too.
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            # The driver opens no transaction before DDL, so one is opened here; a second app that starts now waits.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


migrate(context.config.attributes.get("url") or Settings.from_env(os.environ).database_url)
