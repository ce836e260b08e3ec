"""Brings the database to the schema that this code knows: Amends' branch of migrations, and the project's beside it.

Each upgrade is one transaction: the numbered migrations that are missing, then the functions and rights that are in
force, then a note of what that is. Nothing else applies functions or rights: a server that finds a newer schema, and
may work on it, changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.pool import NullPool

import migrations.amends
from app.amends.postgres.urls import with_value_formats
from domain.amends.errors import StartupError
from migrations.amends.running import digest, functions_in_force

OURS = Path(migrations.amends.__path__[0])
TURN = "select pg_advisory_lock(hashtextextended('amends.migrate', 0))"
"""One process migrates at a time; the lock ends with the session, however that ends."""
LOOK = """
select to_regclass('amends.alembic_version') is not null, to_regclass('amends.schema_state') is not null,
       exists (select from pg_roles where rolname = 'amends_service')"""
HEADS = "select version_num, null, null from amends.alembic_version"
STATE = """
select v.version_num, s.oldest, s.applied
  from amends.alembic_version as v left join amends.schema_state as s on s.revision = v.version_num"""
NOTE = """
insert into amends.schema_state (revision, oldest, applied)
select h.revision, h.oldest, %s from unnest(%s::text[], %s::text[]) as h (revision, oldest)"""


class MigratedSchema(NamedTuple):
    """What a database has: the newest migration of each branch, with the oldest whose servers can work on it.

    `applied` are digests of the functions and rights that were applied last.
    """

    oldest: Mapping[str, str | None]
    applied: frozenset[str | None]
    has_role: bool


def read_schema(session: psycopg.Connection) -> MigratedSchema:
    """Look at a database, which may be an empty one."""
    row = session.execute(LOOK).fetchone()
    assert row is not None
    migrated, noted, has_role = row
    rows = session.execute(STATE if noted else HEADS).fetchall() if migrated else []
    return MigratedSchema(
        {revision: oldest for revision, oldest, _ in rows}, frozenset(applied for *_, applied in rows), has_role
    )


@dataclass(frozen=True)
class Migrations:
    """The migrations that this code knows. The project's own are in `migrations/versions` below `root`, if anywhere."""

    root: Path | None = None
    dbos: int = 0
    """The newest migration of DBOS that this code knows: the service has rights on its tables as well."""

    @cached_property
    def script_directory(self) -> ScriptDirectory:
        """All branches."""
        theirs = self.root and self.root / "migrations" / "versions"
        found = [OURS / "versions", *([theirs] if theirs and theirs.is_dir() else [])]
        return ScriptDirectory(str(OURS), version_locations=[str(each) for each in found])

    @property
    def rights_sql(self) -> list[bytes]:
        """What the service's role may do, in SQL: with Amends' tables, and with the project's."""
        theirs = self.root and self.root / "migrations" / "rights.sql"
        return [each.read_bytes() for each in (OURS / "rights.sql", theirs) if each and each.is_file()]

    @property
    def functions_digest(self) -> str:
        """A digest of the functions and rights that are in force with this code."""
        return digest(functions_in_force().encode(), *self.rights_sql, str(self.dbos).encode())

    def upgrade(
        self,
        url: URL,
        to: str = "heads",
        anew: bool = False,
        applied: Callable[[int, str], None] = lambda number, name: None,
    ) -> list[str]:
        """Apply what is missing up to a revision, one process at a time; returns the names of the migrations.

        `applied` is told of each when it is done, before the commit of all of them. Functions and rights are applied
        with it, or if others were applied last, or `anew`. A database that is ahead of this code stays as it is. Raises
        StartupError if this code cannot work on it.
        """
        with _connected(url) as connection:
            connection.execute(text(TURN))
            schema = read_schema(_driver(connection))
            connection.commit()
            if self.is_ahead(schema.oldest) or (self.is_in_force(schema) and not anew):
                return []
            connection.execute(text("create schema if not exists amends"))
            connection.commit()
            return self._run(connection, to, schema.has_role, applied)

    def is_in_force(self, schema: MigratedSchema) -> bool:
        """Whether a database has all that this code knows, applied as this code knows it."""
        return schema.oldest.keys() == self.newest_revisions() and schema.applied == {self.functions_digest}

    def is_ahead(self, oldest: Mapping[str, str | None]) -> bool:
        """Whether a schema is newer than this code, which can work on it. Raises StartupError if it cannot."""
        if oldest.keys() <= self.all_revisions():
            return False
        if not self.can_serve(oldest):
            raise StartupError(
                f"The database was migrated by a newer version of Amends (its schema is {', '.join(sorted(oldest))}, "
                f"the newest known here is {', '.join(sorted(self.newest_revisions()))}).",
                "Run the newer version. Nothing was changed.",
            )
        return True

    def can_serve(self, oldest: Mapping[str, str | None]) -> bool:
        """Whether servers of this code can work on a newer schema: they know the oldest that can, of each branch.

        And nothing of their own is missing in it: where one branch is ahead and another one behind, nobody upgrades.
        """
        known = self.all_revisions()
        allowed = {each for revision, each in oldest.items() if revision not in known}
        return allowed <= known and all(
            head in oldest
            or allowed & {each.revision for each in self.script_directory.iterate_revisions(head, "base")}
            for head in self.newest_revisions()
        )

    def newest_revisions(self) -> frozenset[str]:
        """The newest migration of each branch."""
        return frozenset(self.script_directory.get_heads())

    def all_revisions(self) -> frozenset[str]:
        """All migrations of all branches."""
        return frozenset(script.revision for script in self.script_directory.walk_revisions())

    def _run(self, connection: Connection, to: str, has_role: bool, applied: Callable[[int, str], None]) -> list[str]:
        names: list[str] = []

        def note(step: Any, **_: Any) -> None:
            names.append(step.up_revision.doc)
            applied(len(names), names[-1])

        def afterwards() -> None:
            if to == "heads":
                self._apply(_driver(connection), has_role)

        config = Config()
        config.set_main_option("script_location", self.script_directory.dir)
        config.set_main_option("path_separator", "newline")
        config.set_main_option("version_locations", "\n".join(self.script_directory.version_locations or ()))
        config.attributes |= {"connection": connection, "applied": note, "afterwards": afterwards}
        command.upgrade(config, to)
        connection.commit()
        return names

    def _apply(self, session: psycopg.Connection, has_role: bool) -> None:
        """Functions and rights as they are in force, in the transaction of the upgrade, and a note of what that is."""
        session.execute(functions_in_force().encode())
        for each in self.rights_sql if has_role else ():
            session.execute(each)
        heads = sorted(self.newest_revisions())
        session.execute("delete from amends.schema_state")
        session.execute(NOTE, (self.functions_digest, heads, [self._oldest_server(head) for head in heads]))

    def _oldest_server(self, head: str) -> str:
        """The oldest migration of a branch whose servers can work on its newest: all those between must let them."""
        line = [each for each in self.script_directory.iterate_revisions(head, "base") if each is not None]
        names = [each.revision for each in line]
        furthest = len(line) - 1
        for at, each in enumerate(line):
            allowed = getattr(each.module, "oldest_server", each.revision)
            if allowed not in names[at:]:
                raise StartupError(
                    f"oldest_server of migration {each.revision} is {allowed!r}, which does not come before it.",
                    f"Name one of {', '.join(reversed(names[at:]))}, or none.",
                )
            furthest = min(furthest, names.index(allowed))
            if furthest == at:
                break
        return names[furthest]


@contextmanager
def _connected(url: URL) -> Iterator[Connection]:
    engine = create_engine(with_value_formats(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def _driver(connection: Connection) -> psycopg.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver
