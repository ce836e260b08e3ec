"""The tables of the read models, as they stand, and how far behind they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from app.amends.postgres.statements.reader import Reader
from app.amends.projections import SQL
from app.amends.projections.failures import failure_text
from domain.amends.errors import Conflict, NotFound
from domain.amends.projection import Projection
from workflows.amends.ports.event_store import FeedCursor
from workflows.amends.values.codec import text

COUNTED = 100_000
"""Further behind than so many events is not counted exactly."""

KnownProjections = Mapping[tuple[str, int], Projection[Any, Any]]


@dataclass(frozen=True)
class ProjectionBuild:
    """A table of a read model, as it stands; `free` says that nobody follows the feed for it."""

    name: str
    build: int
    version: int
    state: str
    types: list[str]
    cursor: FeedCursor
    events: int
    expected: int
    runner: str | None
    free: bool
    failure: str | None
    started_at: datetime
    moved_at: datetime | None
    caught_up_at: datetime | None
    promoted_at: datetime | None
    set_aside: int
    wished: bool
    skipped: int


@dataclass(frozen=True)
class Lag:
    """How many events a table still has to take, and how old the first of them is."""

    events: int
    seconds: float


class ProjectionBuilds:
    """All tables. `known` are the projections that this code has, by name and version."""

    def __init__(self, known: KnownProjections, reader: Reader) -> None:
        self.known, self.reader = known, reader
        self.unopened: dict[str, str] = {}
        """Why a read model has no table yet although it should, by name, as far as this process knows."""

    async def require(self, name: str) -> None:
        """Raise NotFound unless there is a read model of this name, be it one whose code is gone."""
        if not self.is_orphaned(name) or not await self.all(name):
            self.newest(name)

    def is_orphaned(self, name: str) -> bool:
        """Whether no version of its code is here."""
        return not any(known == name for known, _ in self.known)

    def newest(self, name: str) -> Projection[Any, Any]:
        """The newest version of a projection. Raises NotFound, listing those that there are."""
        versions = [version for known, version in self.known if known == name]
        if not versions:
            raise NotFound("projection", name, f"There are: {', '.join(sorted({known for known, _ in self.known}))}.")
        return self.known[name, max(versions)]

    async def all(self, name: str | None = None) -> list[ProjectionBuild]:
        """All tables, or those of one read model, in the order in which they were made."""
        return [_build(row) for row in await self.reader.rows(SQL["builds"], {"name": name})]

    async def open_first(self) -> None:
        """Make a table for every read model that has none; it is live at once, and empty first.

        One that cannot be made keeps no other from being made: see `unopened`.
        """
        await self.note_reads()
        names = {name for name, _ in self.known}
        wanted = [each for each in map(self.newest, sorted(names)) if each.mode != "live"]
        self.unopened = {each.name: told for each in wanted if (told := await self._opened(each)) is not None}

    async def note_reads(self) -> None:
        """Note in its tables which events each read model reads, before this code appends one by a new name.

        What waits for a table, counts its lag or promotes it goes by that; code that knows fewer does not follow it.
        A table of a version that this code does not have gets what its events are called now. Raises Unavailable.
        """
        async with self.reader.transaction() as connection:
            for projection in self.known.values():
                if projection.mode != "live":
                    asked = {"name": projection.name, "version": projection.version, "types": types_of(projection)}
                    await connection.execute(SQL["reads"], asked)
                    for names in projection.vocabulary.renamed:
                        await connection.execute(SQL["renamed"], {"name": projection.name, "types": sorted(names)})

    async def one(self, name: str, build: int) -> ProjectionBuild:
        """One table. Raises NotFound."""
        await self.require(name)
        found = next((each for each in await self.all(name) if each.build == build), None)
        if found is None:
            raise missing(name, build)
        return found

    async def lag(self, build: ProjectionBuild) -> Lag:
        """How far a table is behind."""
        asked = build.cursor._asdict() | {"transaction_id": str(build.cursor.transaction_id), "limit": COUNTED}
        events, seconds = 0, 0.0
        for type in build.types:  # each by itself: a rare one is found by its index wherever the build stands
            (row,) = await self.reader.rows(SQL["lag"], asked | {"type": type}, anew=True)
            events += row["events"]
            if row["first"]:
                seconds = max(seconds, (row["now"] - row["first"]).total_seconds())
        return Lag(min(events, COUNTED), seconds)

    async def candidate(self, name: str) -> int:
        """The table that a promotion means if none is named. Raises Conflict if none was rebuilt."""
        self.newest(name)
        found = [each.build for each in await self.all(name) if each.state == "building"]
        if not found:
            raise Conflict("nothing-built", f"{name} has no rebuilt table: rebuild it first, or name a retired build.")
        return found[-1]

    async def droppable(self, name: str) -> int:
        """The table that a drop means if none is named. Raises Conflict unless there is one beside the live one."""
        self.newest(name)
        found = [each for each in await self.all(name) if each.state != "live"]
        if len(found) != 1:
            builds = ", ".join(f"{each.build} ({each.state})" for each in found) or "none"
            raise Conflict("which", f"Say which build of {name} to drop; there are: {builds}.")
        return found[0].build

    async def _opened(self, projection: Projection[Any, Any]) -> str | None:
        """Why the first table of a read model cannot be made now; None if it is there."""
        try:
            async with self.reader.connection() as connection:
                await connection.execute(SQL["open_build"], open_parameters(projection, first=True))
        except (psycopg.Error, OSError) as error:
            return failure_text(error)
        return None


def types_of(projection: Projection[Any, Any]) -> list[str]:
    """The names under which its events are stored, older ones included."""
    return sorted(projection.vocabulary.names)


def missing(name: str, build: int) -> NotFound:
    """What is said of a table that is not there."""
    return NotFound("build", f"{name} {build}", f"See the builds of {name}: ./run amends projections list.")


def open_parameters(projection: Projection[Any, Any], first: bool) -> dict[str, Any]:
    """What the database must know to make a table."""
    columns = [{"name": each.name, "type": each.type, "nullable": each.nullable} for each in projection.columns]
    return {
        "name": projection.name,
        "version": projection.version,
        "key": projection.key,
        "columns": text(columns),
        "indexes": text([list(index) for index in projection.indexes]),
        "types": types_of(projection),
        "inline": projection.mode == "inline",
        "first": first,
    }


def _build(row: dict[str, Any]) -> ProjectionBuild:
    cursor = FeedCursor(row.pop("generation"), row.pop("transaction_id"), row.pop("position"))
    row.pop("followed"), row.pop("run")
    return ProjectionBuild(cursor=cursor, **row)
