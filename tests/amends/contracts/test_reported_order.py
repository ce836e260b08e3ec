"""What was reported of other event stores about order, tried here: places, upcasters, gaps and rebuilt rows."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from domain.amends.aggregate import Aggregate
from domain.amends.errors import Invalid
from domain.amends.event import Cause, EventType, event, upcasts
from domain.amends.projection import Projection, Recorded
from domain.amends.vocabulary import Unreadable, Vocabulary
from tests.amends.contracts.contract import place_of
from tests.amends.store.harness.accounts import bank
from tests.amends.store.harness.projections import NAME, Lit, board_on, lamps
from tests.amends.store.harness.sagas import event as happened
from workflows.amends.ids import new_id
from workflows.amends.ports.event_store import START, FeedCursor, NewEvent, new_business_event

Sql = psycopg.Connection


async def test_a_token_of_a_database_that_came_further_is_refused(database: URL, sql: Sql) -> None:
    """A reader who holds one, after a reset say, would hear nothing and then miss what was written until then."""
    async with bank(database) as it, bank(database) as another:
        cursor = await place_of(it.events, happened("a"))
        assert await another.events.parse_after(str(cursor)) == cursor
        assert await another.events.parse_after("0-0-0") == START
        row = sql.execute("select pg_snapshot_xmax(pg_current_snapshot())::text").fetchone()
        assert row is not None
        ahead = int(row[0]) + 1000
        for wrong in (
            FeedCursor(1, ahead, 1),
            FeedCursor(2, 1, 1),
            FeedCursor(9, 9, 9),
            FeedCursor(10**9 - 1, 10**18 - 1, 10**18 - 1),
        ):
            with pytest.raises(Invalid, match="ahead of all"):
                await it.events.parse_after(str(wrong))
        for number in range(3):
            later = await place_of(it.events, happened(f"b-{number}"))
            assert await another.events.parse_after(str(later)) == later


@event("report-hop", version=3)
class Hopped:
    number: int


@upcasts(Hopped, 1)
def _first_hop(data: dict[str, Any]) -> dict[str, Any]:
    if data["number"] == "exit":
        raise SystemExit(3)
    return {"number": int(data["number"]) * 10}


@upcasts(Hopped, 2)
def _second_hop(data: dict[str, Any]) -> dict[str, Any]:
    data["number"] += 1  # it may not, and yet nothing that is stored changes
    return data


def add(total: int, event: Hopped) -> int:
    return total + event.number


hops: Aggregate[int, Hopped] = Aggregate("hop", 0, add)


async def test_each_hop_is_made_once_and_in_turn_however_often_a_stream_is_read(database: URL) -> None:
    async with bank(database, snapshot_every=2) as it:
        for version, number in ((1, "4"), (2, 40), (3, 41)):
            old = NewEvent(new_id(), "hop-1", EventType("report-hop", version), {"number": number}, Cause())
            await it.events.append([old])
        for _ in range(3):
            assert await it.loader.load(hops, "hop-1") == (123, 3)
            await it.loader.settle()
        assert [each.data["number"] for each in await it.events.read("hop-1")] == ["4", 40, 41]


@pytest.mark.parametrize(("number", "raised"), [("four", "ValueError"), ("exit", "SystemExit"), (None, "TypeError")])
async def test_an_upcaster_that_fails_makes_its_event_unreadable(database: URL, number: Any, raised: str) -> None:
    async with bank(database) as it:
        await it.events.append([NewEvent(new_id(), "hop-1", EventType("report-hop", 1), {"number": number}, Cause())])
        with pytest.raises(Unreadable, match=rf"its upcaster _first_hop failed with {raised}"):
            await it.loader.load(hops, "hop-1")


@dataclass(frozen=True)
class Total:
    key: str
    total: int = 0


def sum_up(row: Total | None, told: Recorded[Hopped]) -> Total | None:
    return Total(told.key, (row.total if row else 0) + told.event.number)


totals = Projection(NAME, version=1, of=hops, evolve=sum_up, key="key")


async def test_what_was_set_aside_takes_the_hops_of_the_mended_upcaster(
    database: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with board_on(database, totals) as it:
        for stream, number in (("hop-1", "exit"), ("hop-2", 4)):
            old = NewEvent(new_id(), stream, EventType("report-hop", 1), {"number": number}, Cause())
            await it.events.append([old])
        await it.follow()
        (aside,) = await it.dead_letters()
        assert (aside.key, "its upcaster _first_hop failed with SystemExit" in aside.error) == ("1", True)
        mended = Vocabulary((Hopped,))
        mended._paths[EventType("report-hop", 1)] = (Hopped, (lambda data: {"number": 7}, _second_hop))
        monkeypatch.setitem(vars(totals), "vocabulary", mended)
        await it.administration.request_action(NAME, "1", "retry", "mended", Cause())
        runner = it.runner()
        runner.action_requested = True
        await runner.catch_up()
        assert await it.dead_letters() == []
        rows, _ = await it.views.rows(NAME, {}, None, 10)
        assert rows == [vars(Total("1", 8)), vars(Total("2", 41))]


async def test_a_read_model_without_an_event_is_rebuilt_and_promoted(database: URL) -> None:
    async with board_on(database) as it:
        build = await it.rebuild()
        await it.follow()
        assert (await it.promote()).build == build.build
        await it.append("a", Lit(1))
        await it.follow()
        assert await it.rows() == await it.expected()


@dataclass(frozen=True)
class Seen:
    key: str
    order: str = ""


def see(row: Seen | None, told: Recorded[Lit]) -> Seen | None:
    seen = row or Seen("all")
    return replace(seen, order=f"{seen.order}{told.key}{told.event.watts} ")


def everything(_: Recorded[Lit]) -> str:
    return "all"


together = Projection(NAME, version=1, of=lamps, evolve=see, key="key", key_of=everything)


async def test_a_row_of_several_streams_sees_their_events_as_they_were_given_also_when_it_is_rebuilt(
    database: URL,
) -> None:
    async with board_on(database, together) as it:
        for streams in ("babcab", "cb", "a"):
            await it.events.append(
                [new_business_event(f"lamp-{key}", Lit(n), Cause()) for n, key in enumerate(streams)]
            )
        await it.follow()
        first = await it.views.row(NAME, "all")
        await it.rebuild()
        await it.follow()
        await it.promote()
        assert first == await it.views.row(NAME, "all") == vars(Seen("all", "b0 a1 b2 c3 a4 b5 c0 b1 a0 "))


async def test_positions_that_were_taken_back_hold_nobody_up(database: URL) -> None:
    async with board_on(database) as it:
        await it.append("a", Lit(1))
        with psycopg.connect(conninfo(database)) as lost:
            new = {"id": str(new_id()), "stream": "x", "type": "lost", "schema_version": 1, "data": {}, "metadata": {}}
            for _ in range(50):
                lost.execute("select amends.insert_events(%s::jsonb)", (json.dumps([new]),))
                lost.rollback()
        await it.follow()
        cursor = await it.append("a", Lit(2))
        assert cursor.position > 50
        await it.follow()
        assert (await it.rows())["a"]["watts"] == 3
        assert await it.views.wait_for(NAME, cursor, 10)
