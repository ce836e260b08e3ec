"""Brings the database to the schema that this code knows: Amends' branch of migrations, and the project's beside it.

Each upgrade is one transaction: the numbered migrations that are missing, then the functions and rights that are in
force, then a note of what that is. Nothing else applies functions or rights: a server that finds a newer schema, and
may work on it, changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.pool import NullPool

import migrations.amends
from app.amends.postgres.urls import formatted
from domain.amends.errors import StartupError
from migrations.amends.running import digest, functions_in_force

log = logging.getLogger("amends.migrate")

OURS = Path(migrations.amends.__path__[0])
TURN = "select pg_advisory_lock(hashtextextended('amends.migrate', 0))"
"""One process migrates at a time; the lock ends with the session, however that ends."""
HAS_STATE = "select to_regclass('amends.schema_state') is not null"
STATE = "select revision, oldest, applied from amends.schema_state"
HAS_ROLE = "select exists (select from pg_roles where rolname = 'amends_service')"
NOTE = "insert into amends.schema_state (revision, oldest, applied) values (:revision, :oldest, :applied)"


class Upgrade(NamedTuple):
    """What an upgrade has done: the migrations that it applied, by name. `ahead` is a database of a newer version."""

    applied: tuple[str, ...] = ()
    ahead: bool = False


@dataclass(frozen=True)
class Migrations:
    """The migrations that this code knows. The project's own are in `migrations/versions` below `root`, if anywhere."""

    root: Path | None = None

    @cached_property
    def scripts(self) -> ScriptDirectory:
        """All branches."""
        theirs = self.root and self.root / "migrations" / "versions"
        found = [OURS / "versions", *([theirs] if theirs and theirs.is_dir() else [])]
        return ScriptDirectory(str(OURS), version_locations=[str(each) for each in found])

    @property
    def rights(self) -> list[bytes]:
        """What the service's role may do, in SQL: with Amends' tables, and with the project's."""
        theirs = self.root and self.root / "migrations" / "rights.sql"
        return [each.read_bytes() for each in (OURS / "rights.sql", theirs) if each and each.is_file()]

    @property
    def applied(self) -> str:
        """A digest of the functions and rights that are in force with this code."""
        return digest(functions_in_force().encode(), *self.rights)

    def upgrade(self, url: URL, to: str = "heads") -> Upgrade:
        """Apply what is missing up to a revision, one process at a time.

        A database that is ahead of this code stays as it is. Raises StartupError if this code cannot work on it.
        """
        with _connected(url) as connection:
            connection.execute(text(TURN))
            connection.execute(text("create schema if not exists amends"))
            connection.commit()
            heads, state = _heads(connection), _state(connection)
            if ahead := sorted(heads - self.known()):
                self._require_compatible(ahead, {row.revision: row.oldest for row in state})
                return Upgrade((), ahead=True)
            if heads == self.newest() and {row.applied for row in state} == {self.applied}:
                return Upgrade()
            return Upgrade(tuple(self._run(connection, to)))

    def newest(self) -> frozenset[str]:
        """The newest migration of each branch."""
        return frozenset(self.scripts.get_heads())

    def known(self) -> frozenset[str]:
        """All migrations of all branches."""
        return frozenset(script.revision for script in self.scripts.walk_revisions())

    def _require_compatible(self, ahead: list[str], oldest: dict[str, str]) -> None:
        schema, newest = ", ".join(ahead), ", ".join(sorted(self.newest()))
        if not {oldest.get(revision, revision) for revision in ahead} <= self.known():
            raise StartupError(
                f"The database was migrated by a newer version of Amends (its schema is {schema}, "
                f"the newest known here is {newest}).",
                "Run the newer version. Nothing was changed.",
            )
        log.warning("The schema is %s, of a newer version that this one (%s) can work with.", schema, newest)

    def _run(self, connection: Connection, to: str) -> list[str]:
        names: list[str] = []

        def note(step: Any, **_: Any) -> None:
            names.append(step.up_revision.doc)

        def afterwards() -> None:
            if to == "heads":
                self._apply(connection)

        config = Config()
        config.set_main_option("script_location", self.scripts.dir)
        config.set_main_option("path_separator", "newline")
        config.set_main_option("version_locations", "\n".join(self.scripts.version_locations or ()))
        config.attributes |= {"connection": connection, "applied": note, "afterwards": afterwards}
        command.upgrade(config, to)
        connection.commit()
        return names

    def _apply(self, connection: Connection) -> None:
        """Functions and rights as they are in force, in the transaction of the upgrade."""
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute(functions_in_force())
        if connection.execute(text(HAS_ROLE)).scalar_one():
            for each in self.rights:
                driver.execute(each)
        connection.execute(text("delete from amends.schema_state"))
        for head in self.scripts.get_revisions("heads"):
            assert head is not None
            oldest = getattr(head.module, "oldest_server", head.revision)
            connection.execute(text(NOTE), {"revision": head.revision, "oldest": oldest, "applied": self.applied})


@contextmanager
def _connected(url: URL) -> Iterator[Connection]:
    engine = create_engine(formatted(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def _state(connection: Connection) -> list[Any]:
    if not connection.execute(text(HAS_STATE)).scalar_one():
        return []
    return list(connection.execute(text(STATE)))


def _heads(connection: Connection) -> frozenset[str]:
    context = MigrationContext.configure(connection, opts={"version_table_schema": "amends"})
    heads = frozenset(context.get_current_heads())
    connection.commit()
    return heads
