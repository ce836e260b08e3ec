"""Compares a rebuilt read model with the live one, row by row, while both go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, IsolationLevel
from psycopg.rows import TupleRow

from app.projections import SQL
from app.projections.builds import Build, Builds
from app.projections.feed import recorded
from app.store.reader import Reader
from domain.errors import Conflict
from domain.projection import Projection
from workflows.codec import plain
from workflows.events import Place

MOST = 10_000
"""How many differing rows are looked at."""
PAGE = 5_000


@dataclass(frozen=True)
class Difference:
    """A row that differs: what the one and the other table say, None where it is missing."""

    key: str
    one: dict[str, Any] | None
    other: dict[str, Any] | None


@dataclass(frozen=True)
class Verified:
    """What a comparison found. Rows of keys that one of the two has still to change are not judged: `moving`."""

    name: str
    one: int
    other: int
    rows: int
    columns: list[str]
    moving: int
    differing: list[Difference]


async def verify(
    builds: Builds, reader: Reader, name: str, one: int | None = None, other: int | None = None
) -> Verified:
    """Compare two tables of a read model: the live one and the one that was rebuilt, unless others are named.

    All is seen at one moment. Raises Conflict if there is nothing to compare with.
    """
    found = await builds.all(name)
    projection = builds.newest(name)
    live = next((each for each in found if each.state == "live"), None)
    rebuilt = next((each for each in reversed(found) if each.state != "live"), None)
    first, second = _chosen(found, one, live), _chosen(found, other, rebuilt)
    if first is None or second is None or first.build == second.build:
        raise Conflict("nothing-built", f"{name} has no two tables to compare: rebuild it first.")
    async with reader.pool.connection() as connection:
        await connection.set_autocommit(False)
        await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        await connection.set_read_only(True)
        try:
            return await _compared(connection, projection, first, second)
        finally:
            await connection.rollback()
            await connection.set_read_only(None)
            await connection.set_isolation_level(None)
            await connection.set_autocommit(True)


def _chosen(found: list[Build], wanted: int | None, otherwise: Build | None) -> Build | None:
    return next((each for each in found if each.build == wanted), None) if wanted else otherwise


async def _compared(
    connection: AsyncConnection[TupleRow], projection: Projection[Any, Any], first: Build, second: Build
) -> Verified:
    both = [first.build, second.build]
    rows = await (await connection.execute(SQL["places"], (first.name, both))).fetchall()
    places = sorted(Place(*place) for _, *place in rows)
    answer = await (await connection.execute(SQL["compare"], (first.name, *both, MOST))).fetchone()
    assert answer is not None
    seen = plain(answer[0])
    moving = await _moving(connection, projection, first, places[0], places[-1])
    differing = [Difference(**each) for each in seen["differing"] if each["key"] not in moving]
    return Verified(first.name, first.build, second.build, seen["keys"], seen["columns"], len(moving), differing)


async def _moving(
    connection: AsyncConnection[TupleRow], projection: Projection[Any, Any], build: Build, since: Place, until: Place
) -> set[str]:
    """The keys of the events that one of the tables has and the other has not."""
    moving: set[str] = set()
    place = since
    while place < until:
        wanted = place._asdict() | {"transaction_id": str(place.transaction_id), "types": build.types, "limit": PAGE}
        rows = await (await connection.execute(SQL["page"], wanted)).fetchall()
        if not rows:
            break
        *found, last = rows
        place = Place(*last[:3])
        for row in found:
            if Place(*row[:3]) <= until and (key := projection.key_for(recorded(projection, row))) is not None:
                moving.add(key)
    return moving
