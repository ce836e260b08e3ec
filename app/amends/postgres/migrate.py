"""Brings the database to the schema that this code knows: Amends' branch of migrations, and the project's beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.pool import NullPool

import migrations.amends
from app.amends.postgres.urls import formatted
from domain.amends.errors import StartupError

OURS = Path(migrations.amends.__path__[0])
TURN = "select pg_advisory_lock(hashtextextended('amends.migrate', 0))"
"""One process migrates at a time; the lock ends with the session, however that ends."""


@dataclass(frozen=True)
class Migrations:
    """The migrations that this code knows. The project's own are in `migrations/versions` below `root`, if anywhere."""

    root: Path | None = None

    @property
    def scripts(self) -> ScriptDirectory:
        """Both branches."""
        theirs = self.root and self.root / "migrations" / "versions"
        found = [OURS / "versions", *([theirs] if theirs and theirs.is_dir() else [])]
        return ScriptDirectory(str(OURS), version_locations=[str(each) for each in found])

    @property
    def rights(self) -> list[bytes]:
        """What the service's role may do, in SQL: with Amends' tables, and with the project's."""
        theirs = self.root and self.root / "migrations" / "rights.sql"
        return [each.read_bytes() for each in (OURS / "rights.sql", theirs) if each and each.is_file()]

    def upgrade(self, url: URL) -> list[str]:
        """Apply what is missing, one process at a time; returns the names of the migrations that were applied.

        Raises StartupError if the database is ahead of this code.
        """
        with _connected(url) as connection:
            connection.execute(text(TURN))
            connection.execute(text("create schema if not exists amends"))
            connection.commit()
            self._require_known(connection)
            return _run(self.scripts, connection)

    def newest(self) -> frozenset[str]:
        """The newest migration of each branch."""
        return frozenset(self.scripts.get_heads())

    def known(self) -> frozenset[str]:
        """All migrations of both."""
        return frozenset(script.revision for script in self.scripts.walk_revisions())

    def _require_known(self, connection: Connection) -> None:
        ahead = sorted(_heads(connection) - self.known())
        if ahead:
            raise StartupError(
                f"The database was migrated by a newer version of Amends (its schema is {', '.join(ahead)}, "
                f"the newest known here is {', '.join(sorted(self.newest()))}).",
                "Run the newer version. Nothing was changed.",
            )


def _run(scripts: ScriptDirectory, connection: Connection) -> list[str]:
    applied: list[str] = []

    def note(step: Any, **_: Any) -> None:
        applied.append(step.up_revision.doc)

    config = Config()
    config.set_main_option("script_location", scripts.dir)
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(scripts.version_locations or ()))
    config.attributes |= {"connection": connection, "applied": note, "afterwards": lambda: None}
    command.upgrade(config, "heads")
    connection.commit()
    return applied


@contextmanager
def _connected(url: URL) -> Iterator[Connection]:
    engine = create_engine(formatted(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def _heads(connection: Connection) -> frozenset[str]:
    context = MigrationContext.configure(connection, opts={"version_table_schema": "amends"})
    heads = frozenset(context.get_current_heads())
    connection.commit()
    return heads
