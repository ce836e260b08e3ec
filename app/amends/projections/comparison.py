"""Compares two builds of a read model, row by row, while both go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from app.amends.postgres.statements.reader import Reader
from app.amends.projections import SQL
from app.amends.projections.statement_rows import parse_feed_events
from domain.amends.errors import Conflict
from domain.amends.projection import Projection
from workflows.amends.ports.event_store import FeedCursor
from workflows.amends.ports.projection_builds import ProjectionBuild
from workflows.amends.projections.apply import key_and_event
from workflows.amends.projections.builds import ProjectionBuilds
from workflows.amends.values.codec import parse_json

MOST = 10_000
"""The number of differing rows after which the comparison ends."""
ROWS, EVENTS = 20_000, 5_000
"""Rows and events that one statement reads."""


@dataclass(frozen=True)
class RowDifference:
    """A row that differs, as it is in both builds; None where it is missing."""

    key: str
    one: dict[str, Any] | None
    other: dict[str, Any] | None


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison. `moving` are keys that one of the two has still to change: they are not judged."""

    name: str
    one: int
    other: int
    rows: int
    columns: list[str]
    moving: int
    differing: list[RowDifference]


async def compare_builds(
    builds: ProjectionBuilds,
    reader: Reader,
    name: str,
    one: int | None = None,
    other: int | None = None,
    seen: Callable[[int], None] | None = None,
) -> Comparison:
    """Compare two builds of a read model: the live one and the rebuilt one, unless others are named.

    Both are read in one snapshot, however long it takes; `seen` is called with the number of rows compared so far.
    Raises Conflict if there are no two builds to compare, and Unavailable.
    """
    found = await builds.all(name)
    projection = builds.newest(name)
    live = next((each for each in found if each.state == "live"), None)
    rebuilt = next((each for each in reversed(found) if each.state != "live"), None)
    first, second = _chosen(found, one, live), _chosen(found, other, rebuilt)
    if first is None or second is None or first.build == second.build:
        raise Conflict("nothing-built", f"{name} has no two tables to compare: rebuild it first.")
    for each in (first, second):
        if each.state == "building" and each.caught_up_at is None:
            raise Conflict("behind", f"{name} build {each.build} is still being filled: compare it once it is ready.")
    async with reader.transaction() as connection:
        await connection.execute("set transaction isolation level repeatable read, read only")
        return await _compared(connection, projection, first, second, seen)


def _chosen(
    found: list[ProjectionBuild], wanted: int | None, otherwise: ProjectionBuild | None
) -> ProjectionBuild | None:
    return next((each for each in found if each.build == wanted), None) if wanted else otherwise


async def _compared(
    connection: AsyncConnection[TupleRow],
    projection: Projection[Any, Any],
    first: ProjectionBuild,
    second: ProjectionBuild,
    seen: Callable[[int], None] | None,
) -> Comparison:
    both = [first.build, second.build]
    rows = await (await connection.execute(SQL["places"], (first.name, both))).fetchall()
    cursors = sorted(FeedCursor(*cursor) for _, *cursor in rows)
    moving = await _moving(connection, projection, first, cursors[0], cursors[-1])
    keys, columns, differing, last = 0, list[str](), list[RowDifference](), None
    while True:
        wanted = (first.name, *both, last, ROWS, MOST)
        ((page,),) = await (await connection.execute(SQL["compare"], wanted)).fetchall()
        found = parse_json(page)
        keys, columns, last = keys + found["keys"], found["columns"], found["last"]
        differing += [RowDifference(**each) for each in found["differing"] if each["key"] not in moving]
        if seen:
            seen(keys)
        if last is None or len(differing) >= MOST:
            return Comparison(first.name, first.build, second.build, keys, columns, len(moving), differing)


async def _moving(
    connection: AsyncConnection[TupleRow],
    projection: Projection[Any, Any],
    build: ProjectionBuild,
    since: FeedCursor,
    until: FeedCursor,
) -> set[str]:
    """The keys of the events that one of the builds has and the other has not."""
    moving: set[str] = set()
    cursor = since
    while cursor < until:
        wanted = cursor._asdict() | {
            "transaction_id": str(cursor.transaction_id),
            "types": build.types,
            "limit": EVENTS,
        }
        wanted |= {"name": build.name, "build": build.build}
        rows = await (await connection.execute(SQL["page"], wanted)).fetchall()
        if not rows:
            break
        *found, last = rows
        cursor = FeedCursor(*last[:3])
        for each in parse_feed_events(found):
            key, event = key_and_event(projection, each)
            if FeedCursor(*each[:3]) <= until and event is not None:
                moving.add(key)
    return moving
