"""Projection builds: the tables of read models, their state, and their lag."""

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
"""The most events that a lag counts."""

KnownProjections = Mapping[tuple[str, int], Projection[Any, Any]]


@dataclass(frozen=True)
class ProjectionBuild:
    """One build of a read model; `free` says that no runner follows the feed for it.

    `version` is that of the code, `build` counts the tables of the read model.
    """

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
    action_requested: bool
    skipped: int


@dataclass(frozen=True)
class Lag:
    """The events that a build has still to take, and the age of the first of them in seconds."""

    events: int
    seconds: float


class ProjectionBuilds:
    """All builds. `known` are the projections of this code, by name and version."""

    def __init__(self, known: KnownProjections, reader: Reader) -> None:
        self.known, self.reader = known, reader
        self.unopened: dict[str, str] = {}
        """Reasons why read models cannot be given their first table, by name, as far as this process knows."""

    async def require(self, name: str) -> None:
        """Raise NotFound unless there is a read model of this name, with or without code."""
        if not self.is_orphaned(name) or not await self.all(name):
            self.newest(name)

    def is_orphaned(self, name: str) -> bool:
        """Whether this process has no version of its code."""
        return not any(known == name for known, _ in self.known)

    def newest(self, name: str) -> Projection[Any, Any]:
        """The newest version of a projection. Raises NotFound, listing the known ones."""
        versions = [version for known, version in self.known if known == name]
        if not versions:
            raise NotFound("projection", name, f"There are: {', '.join(sorted({known for known, _ in self.known}))}.")
        return self.known[name, max(versions)]

    async def all(self, name: str | None = None) -> list[ProjectionBuild]:
        """All builds, or those of one read model, in the order in which they were made."""
        return [_build(row) for row in await self.reader.rows(SQL["builds"], {"name": name})]

    async def open_first(self) -> None:
        """Make the first build of every read model that has none: it is live at once, and empty.

        A failure is noted in `unopened`, and keeps no other build from being made.
        """
        await self.note_reads()
        names = {name for name, _ in self.known}
        wanted = [each for each in map(self.newest, sorted(names)) if each.mode != "live"]
        self.unopened = {each.name: reason for each in wanted if (reason := await self._opened(each)) is not None}

    async def note_reads(self) -> None:
        """Note in the builds which events each read model reads, before this code appends one by a new name.

        Waits, lags and promotions go by these names; code that knows fewer does not follow the build. Builds of
        versions that this code does not have get the new names of renamed events. Raises Unavailable.
        """
        async with self.reader.transaction() as connection:
            for projection in self.known.values():
                if projection.mode != "live":
                    parameters = {"name": projection.name, "version": projection.version, "types": types_of(projection)}
                    await connection.execute(SQL["reads"], parameters)
                    for names in projection.vocabulary.renamed:
                        await connection.execute(SQL["renamed"], {"name": projection.name, "types": sorted(names)})

    async def one(self, name: str, build: int) -> ProjectionBuild:
        """One build. Raises NotFound."""
        await self.require(name)
        found = next((each for each in await self.all(name) if each.build == build), None)
        if found is None:
            raise build_not_found(name, build)
        return found

    async def lag(self, build: ProjectionBuild) -> Lag:
        """The lag of a build."""
        parameters = build.cursor._asdict() | {"transaction_id": str(build.cursor.transaction_id), "limit": COUNTED}
        events, seconds = 0, 0.0
        for type in build.types:  # each by itself: a rare one is found by its index wherever the build stands
            (row,) = await self.reader.rows(SQL["lag"], parameters | {"type": type}, anew=True)
            events += row["events"]
            if row["first"]:
                seconds = max(seconds, (row["now"] - row["first"]).total_seconds())
        return Lag(min(events, COUNTED), seconds)

    async def candidate(self, name: str) -> int:
        """The build that a promotion means if none is named. Raises Conflict if none was rebuilt."""
        self.newest(name)
        found = [each.build for each in await self.all(name) if each.state == "building"]
        if not found:
            raise Conflict("nothing-built", f"{name} has no rebuilt table: rebuild it first, or name a retired build.")
        return found[-1]

    async def droppable(self, name: str) -> int:
        """The build that a drop means if none is named. Raises Conflict unless there is one beside the live one."""
        self.newest(name)
        found = [each for each in await self.all(name) if each.state != "live"]
        if len(found) != 1:
            builds = ", ".join(f"{each.build} ({each.state})" for each in found) or "none"
            raise Conflict("which", f"Say which build of {name} to drop; there are: {builds}.")
        return found[0].build

    async def _opened(self, projection: Projection[Any, Any]) -> str | None:
        """The reason why the first build of a read model cannot be made now; None if it is there."""
        try:
            async with self.reader.connection() as connection:
                await connection.execute(SQL["open_build"], build_parameters(projection, first=True))
        except (psycopg.Error, OSError) as error:
            return failure_text(error)
        return None


def types_of(projection: Projection[Any, Any]) -> list[str]:
    """The names under which a projection's events are stored, older ones included."""
    return sorted(projection.vocabulary.names)


def build_not_found(name: str, build: int) -> NotFound:
    """The error for a build that does not exist."""
    return NotFound("build", f"{name} {build}", f"See the builds of {name}: ./run amends projections list.")


def build_parameters(projection: Projection[Any, Any], first: bool) -> dict[str, Any]:
    """The parameters by which the database makes a build."""
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
