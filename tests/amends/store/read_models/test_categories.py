"""A read model reads the streams of the aggregates that it names; what it cannot take stops that row and no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from domain.amends.aggregate import Aggregate
from domain.amends.errors import DefinitionError
from domain.amends.event import Cause, event
from domain.amends.projection import Projection, Recorded, WrongKey
from domain.amends.testing import recorded_events
from tests.amends.store.harness.projections import NAME, Board, Elsewhere, board_on
from tests.amends.store.read_models.test_set_aside import wish
from workflows.amends.background import cancel_tasks
from workflows.amends.ports.event_store import new_business_event

Sql = psycopg.Connection


@event("bench-switched")
class Switched:
    room: str
    watts: int


def count(total: int, event: Switched) -> int:
    return total + 1


desk_lamps = Aggregate("desk-lamp", initial=0, evolve=count)
heaters = Aggregate("heater", initial=0, evolve=count)


@dataclass(frozen=True)
class Room:
    lamp: str
    watts: int
    seen: str = ""


UNKEYED, NO_TEXT, BROKEN = -1, -2, -3
mended = set[int]()


def evolve(row: Room | None, told: Recorded[Switched]) -> Room | None:
    if told.event.watts == BROKEN not in mended:
        raise ValueError("it is broken")
    now = row or Room(told.event.room, 0)
    return replace(now, watts=now.watts + abs(told.event.watts), seen=f"{now.seen}{told.key},")


def room_of(told: Recorded[Switched]) -> Any:
    watts = 0 if told.event.watts in mended else told.event.watts
    if watts == UNKEYED:
        raise LookupError("nobody knows that room")
    return {NO_TEXT: 7}.get(watts, told.event.room or None)


lit = Projection(NAME, version=1, of=desk_lamps, evolve=evolve, key="lamp", key_of=room_of)
used = Projection(NAME, version=1, of=desk_lamps, also=[heaters], evolve=evolve, key="lamp", key_of=room_of)


@asynccontextmanager
async def on(url: URL, projection: Projection[Any, Any]) -> AsyncIterator[Board]:
    mended.clear()
    async with board_on(url, projection) as it:
        yield it


async def switch(it: Board, stream: str, *told: tuple[str, int]) -> None:
    await it.events.append([new_business_event(stream, Switched(*each), Cause()) for each in told])
    await it.follow()


async def rooms(it: Board) -> dict[str, tuple[int, str]]:
    return {key: (row["watts"], row["seen"]) for key, row in (await it.rows()).items()}


async def aside(it: Board) -> dict[str, int]:
    return {each.key: each.waiting for each in await it.dead_letters()}


async def test_events_of_its_classes_in_other_streams_are_not_read(database: URL, sql: Sql) -> None:
    async with on(database, lit) as it:
        await switch(it, "desk-lamp-1", ("hall", 5))
        await switch(it, "heater-1", ("hall", 1000), ("attic", UNKEYED))
        unreadable(sql, "heater-1")
        await it.follow()
        assert (await rooms(it), await aside(it)) == ({"hall": (5, "1,")}, {})


async def test_several_categories_are_read_if_it_names_them(database: URL) -> None:
    async with on(database, used) as it:
        await switch(it, "desk-lamp-1", ("hall", 5), ("attic", 7))
        await switch(it, "heater-1", ("hall", 1000))
        assert await rooms(it) == {"hall": (1005, "1,1,"), "attic": (7, "1,")}


async def test_those_who_wait_are_told_at_once_that_an_event_was_for_no_row(
    database: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of the feed the place moves with it, and not only when the lease is renewed."""
    monkeypatch.setattr("workflows.amends.projections.runner.RENEW_SECONDS", 1000)
    async with on(database, used) as it:
        await switch(it, "desk-lamp-1", ("hall", 5))
        following = asyncio.create_task(it.runner().run())
        try:
            await it.append("9", Elsewhere())
            appended = await it.events.append([new_business_event("heater-1", Switched("", 1), Cause())])
            assert await it.views.wait_for(NAME, appended.cursor, 30)  # type: ignore[union-attr]
        finally:
            await cancel_tasks(following)


async def test_an_event_that_cannot_be_applied_stops_its_row_whichever_stream_it_comes_from(database: URL) -> None:
    async with on(database, used) as it:
        await switch(it, "heater-1", ("hall", BROKEN), ("attic", 2))
        await switch(it, "desk-lamp-1", ("hall", 3), ("attic", 4))
        assert await rooms(it) == {"attic": (6, "1,1,")}
        assert await aside(it) == {"hall": 1}
        mended.add(BROKEN)
        await wish(it, "hall", "retry")
        assert await rooms(it) == {"attic": (6, "1,1,"), "hall": (6, "1,1,")}


@pytest.mark.parametrize("without_key", [UNKEYED, NO_TEXT])
async def test_an_event_whose_row_is_not_known_stops_its_stream_and_no_row_of_that_name(
    database: URL, without_key: int
) -> None:
    async with on(database, used) as it:
        await switch(it, "heater-hall", ("attic", 1), ("attic", without_key), ("attic", 2))
        await switch(it, "desk-lamp-hall", ("hall", 3), ("attic", 4))
        assert await rooms(it) == {"attic": (5, "hall,hall,"), "hall": (3, "hall,")}
        assert await aside(it) == {"stream heater-hall": 1}
        await switch(it, "heater-hall", ("hall", 8))
        assert await aside(it) == {"stream heater-hall": 2}
        mended.add(without_key)
        await wish(it, "stream heater-hall", "retry")
        assert await aside(it) == {}
        assert {key: watts for key, (watts, _) in (await rooms(it)).items()} == {"attic": 7 + -without_key, "hall": 11}


async def test_what_is_retried_waits_behind_its_row_if_that_waits(database: URL) -> None:
    async with on(database, used) as it:
        await switch(it, "heater-1", ("hall", UNKEYED), ("hall", 2))
        await switch(it, "desk-lamp-1", ("hall", BROKEN))
        mended.add(UNKEYED)
        await wish(it, "stream heater-1", "retry")
        assert (await rooms(it), await aside(it)) == ({}, {"hall": 2})


async def test_an_event_that_does_not_read_back_stops_its_stream(database: URL, sql: Sql) -> None:
    async with on(database, used) as it:
        unreadable(sql, "heater-hall")
        await switch(it, "heater-hall", ("hall", 2))
        await switch(it, "desk-lamp-hall", ("hall", 3))
        assert (await rooms(it), await aside(it)) == ({"hall": (3, "hall,")}, {"stream heater-hall": 1})
        await wish(it, "stream heater-hall", "skip")
        assert (await rooms(it), await aside(it)) == ({"hall": (5, "hall,hall,")}, {})


def unreadable(sql: Sql, stream: str) -> None:
    sql.execute(
        """select amends.insert_events(jsonb_build_array(jsonb_build_object('id', gen_random_uuid(),
        'stream', %s::text, 'type', 'bench-switched', 'schema_version', 1, 'data', '{"watts": "many"}'::jsonb,
        'metadata', '{}'::jsonb)))""",
        (stream,),
    )


def test_the_projection_alone_reads_the_same_streams_and_keys() -> None:
    """Also where the name of a category has several words, of which a test's shorthand cannot know."""
    told = [*recorded_events("desk-lamp-1", Switched("hall", 1)), *recorded_events("heater-1", Switched("hall", 2))]
    assert lit(told) == {"hall": Room("hall", 1, "1,")}
    assert used(told) == {"hall": Room("hall", 3, "1,1,")}


def test_several_categories_need_a_key_of() -> None:
    with pytest.raises(DefinitionError, match="key_of"):
        Projection(NAME, version=1, of=desk_lamps, also=[heaters], evolve=evolve, key="lamp")
    with pytest.raises(DefinitionError, match="'heater' more than once"):
        Projection(NAME, version=1, of=heaters, also=[heaters], evolve=evolve, key="lamp", key_of=room_of)


def test_a_row_under_another_key_is_refused() -> None:
    with pytest.raises(WrongKey):
        replace(lit, key_of=lambda told: "elsewhere")(recorded_events("desk-lamp-1", Switched("hall", 1)))
