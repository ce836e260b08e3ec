"""Brings the database to the schema that this code knows, and refuses one that is ahead of it."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.pool import NullPool

from app.store.urls import formatted
from domain.errors import Unusable

FOLDER = Path(__file__).parents[2] / "migrations"
TURN = "select pg_advisory_lock(hashtextextended('amends.migrate', 0))"
"""One process migrates at a time; the lock ends with the session, however that ends."""


def migrate(url: URL) -> list[str]:
    """Apply what is missing, one process at a time; returns the names of the migrations that were applied."""
    engine = create_engine(formatted(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(TURN))
        connection.execute(text("create schema if not exists amends"))
        connection.commit()
        known = ScriptDirectory(str(FOLDER))
        before = _current(connection)
        if before and before not in {script.revision for script in known.walk_revisions()}:
            raise Unusable(
                f"The database was migrated by a newer version of Amends (its schema is {before}, "
                f"the newest known here is {known.get_current_head()}).",
                "Run the newer version. Nothing was changed.",
            )
        config = Config()
        config.set_main_option("script_location", str(FOLDER))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
        missing = known.iterate_revisions("head", before or "base")
        return [script.doc for script in missing][::-1]


def _current(connection: Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table_schema": "amends"})
    revision = context.get_current_revision()
    connection.commit()
    return revision


def revisions() -> tuple[str | None, frozenset[str]]:
    """The newest migration that this code knows, and all that it knows."""
    known = ScriptDirectory(str(FOLDER))
    return known.get_current_head(), frozenset(script.revision for script in known.walk_revisions())
