"""The tables of the read models: made, filled beside the live one, compared with it, promoted, and dropped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from app.projections import SQL
from app.projections.feed import types_of
from app.store.committer import Committer
from app.store.events import PostgresEvents
from app.store.reader import Reader
from domain.errors import Conflict, NotFound
from domain.event import Cause
from domain.projection import Projection
from domain.projection_story import stream
from workflows.codec import text
from workflows.events import START, Answer, Appended, Place, record

COUNTED = 100_000
"""Further behind than so many events is not counted exactly."""
PROMOTE_SECONDS = 5.0
"""How long a promotion waits until the new table has got as far as the live one, and until nobody reads the view."""

Known = Mapping[tuple[str, int], Projection[Any, Any]]


@dataclass(frozen=True)
class Build:
    """A table of a read model, as it stands; `free` says that nobody follows the feed for it."""

    name: str
    build: int
    version: int
    state: str
    types: list[str]
    place: Place
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


@dataclass(frozen=True)
class Lag:
    """How many events a table still has to take, and how old the first of them is."""

    events: int
    seconds: float


class Builds:
    """What is done with the tables. `known` are the projections that this code has, by name and version."""

    def __init__(self, known: Known, committer: Committer, reader: Reader) -> None:
        self.known, self._committer, self._reader = known, committer, reader
        self._events = PostgresEvents(committer, reader)

    def newest(self, name: str) -> Projection[Any, Any]:
        """The newest version of a projection. Raises NotFound, listing those that there are."""
        versions = [version for known, version in self.known if known == name]
        if not versions:
            raise NotFound("projection", name, f"There are: {', '.join(sorted({known for known, _ in self.known}))}.")
        return self.known[name, max(versions)]

    async def all(self, name: str | None = None) -> list[Build]:
        """All tables, or those of one read model, in the order in which they were made."""
        return [_build(row) for row in await self._reader.rows(SQL["builds"], {"name": name})]

    async def open_first(self) -> None:
        """Make a table for every read model that has none; it is live at once, and empty first."""
        for name in {name for name, _ in self.known}:
            projection = self.newest(name)
            if projection.mode != "live":
                await self._open(projection, first=True)

    async def tell(self, name: str, told: Sequence[object], cause: Cause, answer: Answer | None = None) -> Place:
        """Tell in a read model's own story what a person did with it, and keep what was answered to that."""
        appended = await self._events.append([record(stream(name), each, cause) for each in told], {}, answer)
        return appended.place if isinstance(appended, Appended) else START

    async def rebuild(self, name: str) -> Build:
        """Begin a table of the newest version beside the live one. Raises Conflict if one is being filled already."""
        projection = self.newest(name)
        if projection.mode == "live":
            raise Conflict("mode", f"{name} is live: it has no table, and is folded whenever somebody asks.")
        build = await self._open(projection, first=False)
        if build is None:
            raise Conflict("building", f"{name} is being rebuilt already: promote it, or drop it first.")
        await self._committer.run(SQL["expect"], {"name": name, "build": build})
        return await self.one(name, build)

    async def one(self, name: str, build: int) -> Build:
        """One table. Raises NotFound."""
        found = next((each for each in await self.all(name) if each.build == build), None)
        if found is None:
            raise NotFound("build", f"{name} {build}", f"See the builds of {name}: ./run amends projections list.")
        return found

    async def lag(self, build: Build) -> Lag:
        """How far a table is behind."""
        place = build.place._asdict() | {"transaction_id": str(build.place.transaction_id)}
        row = await self._reader.row(SQL["lag"], place | {"types": build.types, "limit": COUNTED})
        return Lag(row["events"], row["seconds"]) if row else Lag(0, 0.0)

    async def promote(self, name: str, build: int | None = None) -> Build:
        """Let the view show another table: the one that was rebuilt, or an older one. Nobody reads less than before.

        Raises NotFound, or Conflict if it has not caught up with the live one.
        """
        self.newest(name)
        wanted = build or await self._candidate(name)
        until = time.monotonic() + PROMOTE_SECONDS
        while (outcome := await self._switch("promote", name, wanted)) == "behind":
            found = await self.one(name, wanted)
            if found.caught_up_at is None or time.monotonic() > until:
                lag = await self.lag(found)
                raise Conflict("behind", f"{name} build {wanted} has not caught up: it is {lag.events} events behind.")
            await asyncio.sleep(0.05)
        if outcome == "live":
            raise Conflict("live", f"{name} build {wanted} is live already.")
        return await self.one(name, wanted)

    async def drop(self, name: str, build: int | None = None) -> Build:
        """Drop a table that is not live: the one given, else the one that was replaced last or is being filled."""
        self.newest(name)
        found = await self.one(name, build or await self._droppable(name))
        if await self._switch("drop", name, found.build) == "live":
            raise Conflict("live", f"{name} build {found.build} is live: promote another one first.")
        return found

    async def _candidate(self, name: str) -> int:
        found = [each.build for each in await self.all(name) if each.state == "building"]
        if not found:
            raise Conflict("nothing-built", f"{name} has no rebuilt table: rebuild it first, or name a retired build.")
        return found[-1]

    async def _droppable(self, name: str) -> int:
        found = [each for each in await self.all(name) if each.state != "live"]
        if len(found) != 1:
            builds = ", ".join(f"{each.build} ({each.state})" for each in found) or "none"
            raise Conflict("which", f"Say which build of {name} to drop; there are: {builds}.")
        return found[0].build

    async def _open(self, projection: Projection[Any, Any], first: bool) -> int | None:
        columns = [{"name": each.name, "type": each.type, "nullable": each.nullable} for each in projection.columns]
        parameters = {
            "name": projection.name,
            "version": projection.version,
            "key": projection.key,
            "columns": text(columns),
            "indexes": text([list(index) for index in projection.indexes]),
            "types": types_of(projection),
            "inline": projection.mode == "inline",
            "first": first,
        }
        rows = await self._committer.run(SQL["open_build"], parameters)
        build: int | None = rows[0][0]
        return build

    async def _switch(self, how: str, name: str, build: int) -> str:
        """Promote or drop in one transaction. Raises NotFound, or Conflict if somebody stands in the way."""
        until = time.monotonic() + PROMOTE_SECONDS
        while (outcome := await self._try(how, name, build)) == "busy":
            if time.monotonic() > until:
                raise Conflict("busy", f"Somebody has been reading views.{name} for a while. Try again.")
            await asyncio.sleep(0.05)
        if outcome == "unknown":
            raise NotFound("build", f"{name} {build}", f"See the builds of {name}: ./run amends projections list.")
        return outcome

    async def _try(self, how: str, name: str, build: int) -> str:
        """Try once, and wait a moment at most: while it waits for a lock, the feed is held back for all."""
        try:
            async with self._reader.pool.connection() as connection:
                row = await (await connection.execute(SQL[how], {"name": name, "build": build})).fetchone()
        except psycopg.errors.DependentObjectsStillExist as needed:
            raise Conflict("needed", f"Another view reads this one: {needed.diag.message_detail}") from needed
        except psycopg.errors.LockNotAvailable:
            return "busy"
        return str(row[0]) if row else "unknown"


def _build(row: dict[str, Any]) -> Build:
    place = Place(row.pop("generation"), row.pop("transaction_id"), row.pop("position"))
    row.pop("followed")
    return Build(place=place, **row)
