"""What was reported of other event stores, tried here: identity, names, values and order."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import URL

from app.store.database import conninfo
from app.store.embedded import EmbeddedPostgres
from domain.aggregate import Aggregate
from domain.errors import Conflict, Invalid, StaleVersion, Unstorable
from domain.event import Cause, EventType, event, upcasts
from domain.expected import NONE, exact
from domain.projection import Projection, Recorded
from domain.vocabulary import Unreadable
from tests.store.accounts import bank
from tests.store.contract import ANSWER, place_of, require_refused, whole
from tests.store.projections import NAME, Lit, board_on, lamps
from tests.store.sagas import event as happened
from workflows.codec import text
from workflows.events import START, Answer, Appended, EventStore, Filter, NewEvent, Place, Repeated, record
from workflows.ids import new_id
from workflows.memory import MemoryEvents, compared

Sql = psycopg.Connection

LOOKING_ALIKE = [
    "a",
    "A",
    "a ",
    " a",
    "a\u00a0",
    "caf\u00e9",
    "cafe\u0301",
    "\u0130",
    "i\u0307",
    "a%",
    "a_",
    "a\\",
    " ",
]
OUTSIDE_TEXT = ["a\0b", "half a \ud800"]


class Reports:
    """What both stores are tried with."""

    async def test_a_known_id_is_not_appended_again_at_the_version_that_the_stream_has(
        self, events: EventStore
    ) -> None:
        known = happened("a")
        place = await place_of(events, known, a=NONE)
        assert await place_of(events, known, a=exact(1)) == place
        assert await place_of(events, known, a=exact(0)) == place
        await whole(events, 1)

    @pytest.mark.parametrize(
        ("before", "again"), [(1, True), (0, False), ([], {}), (None, "null"), (1, "1"), (0, None)]
    )
    async def test_a_known_id_with_a_value_that_only_looks_the_same_is_a_conflict(
        self, events: EventStore, before: object, again: object
    ) -> None:
        known = happened("a", data={"value": [before]})
        await events.append([known])
        await require_refused(events, Conflict, replace(known, data={"value": [again]}))

    async def test_a_number_is_the_same_however_it_is_written(self, events: EventStore) -> None:
        known = happened("a", data={"value": [1, 1e23, 1e308, 5e-324, -0.0]})
        place = await place_of(events, known)
        assert await place_of(events, known) == place
        assert await place_of(events, replace(known, data={"value": [1.0, 10**23, 10**308, 5e-324, 0]})) == place

    async def test_a_version_that_is_far_ahead_is_stale_and_one_that_cannot_be_is_invalid(
        self, events: EventStore
    ) -> None:
        await events.append([happened("a")])
        for version in (2, 10, 2**31 - 1):
            await require_refused(events, StaleVersion, happened("a"), a=exact(version))
            await require_refused(events, StaleVersion, happened("a"), never=exact(version))
        for version in (-1, 2**31, 2**63, 10**30):
            with pytest.raises(Invalid, match="expected version"):
                exact(version)

    async def test_of_one_id_that_comes_for_several_streams_at_once_one_event_stands(self, events: EventStore) -> None:
        for number in range(10):
            new, other = happened(f"a-{number}"), happened(f"o-{number}")
            tries = [
                [new],
                [new],
                [replace(new, stream=f"b-{number}")],
                [new, other],
                [other, replace(new, stream="c")],
            ]
            done = await asyncio.gather(*map(events.append, tries), return_exceptions=True)
            assert Counter(map(type, done)).keys() <= {Appended, Conflict}
            assert any(isinstance(each, Appended) for each in done)
        ids = Counter(each.id for each in await events.feed(limit=1000))
        assert set(ids.values()) == {1}

    async def test_names_that_look_alike_are_streams_of_their_own(self, events: EventStore) -> None:
        for name in LOOKING_ALIKE:
            await place_of(events, happened(name), **{name: NONE})
        await whole(events, len(LOOKING_ALIKE))
        for name in LOOKING_ALIKE:
            (stored,) = await events.read(name)
            assert (stored.stream, stored.version) == (name, 1)
            assert await events.feed(only=Filter(stream=name)) == [stored]

    @pytest.mark.parametrize("outside", OUTSIDE_TEXT)
    async def test_text_that_the_database_does_not_hold_is_refused_wherever_it_stands(
        self, events: EventStore, outside: str
    ) -> None:
        new = happened("a")
        for wrong in (
            replace(new, stream=outside),
            replace(new, type=EventType(outside, 1)),
            replace(new, cause=Cause(actor=outside)),
            replace(new, data={"text": [outside]}),
            replace(new, data={outside: 1}),
        ):
            with pytest.raises(Unstorable):
                await events.append([happened("b"), wrong])
        with pytest.raises(Unstorable):
            await events.append([happened("b")], {outside: NONE})
        with pytest.raises(Unstorable):
            await events.append([happened("b")], {}, Answer("key", "digest", {"name": outside}))
        assert await events.feed() == []

    @pytest.mark.parametrize(
        "number", [float("nan"), float("inf"), -float("inf"), 10**4300], ids=["nan", "inf", "-inf", "long"]
    )
    async def test_a_number_that_would_not_come_back_is_refused(self, events: EventStore, number: float) -> None:
        await require_refused(events, Unstorable, happened("a", data={"number": number}))

    async def test_a_stream_is_read_from_its_beginning_after_anything_before_that(self, events: EventStore) -> None:
        await events.append([happened("a") for _ in range(5)])
        for after in (0, -1, -3, -(2**40)):
            assert [each.version for each in await events.read("a", after, 3)] == [1, 2, 3]
        assert await events.read("a", 2**40) == []
        assert await events.read("a", 0, 0) == []

    async def test_a_kept_answer_is_nobodys_to_change(self, events: EventStore) -> None:
        await events.append([happened("a")], {}, ANSWER)
        first = await events.append([happened("a")], {}, ANSWER)
        assert isinstance(first, Repeated)
        first.body["nested"]["name"] = "changed"
        assert await events.append([happened("a")], {}, ANSWER) != first
        twice = happened("a")
        with pytest.raises(Conflict):
            await events.append([twice, twice], {}, ANSWER)


class TestMemory(Reports):
    @pytest.fixture
    def events(self) -> EventStore:
        return MemoryEvents()


class TestPostgres(Reports):
    @pytest.fixture
    async def events(self, database: URL) -> AsyncIterator[EventStore]:
        async with bank(database) as it:
            yield it.events


NUMBERS = [0, 1, -1, 1.0, -0.0, 0.1, 1e16, 10**16, 1e23, 10**23, 2**53 + 1, 2.0**53, 1e308, 5e-324]
SCALARS = st.sampled_from([None, True, False, "", "1", "true", "a", "\u00e9", "e\u0301", *NUMBERS])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
)


def test_both_stores_tell_the_same_values_apart(postgres_18: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres_18.url, autocommit=True) as connection:

        @given(VALUES, VALUES)
        @settings(max_examples=300, deadline=None)
        def agree(one: Any, other: Any) -> None:
            pair = (text(one), text(other))
            row = connection.execute("select %s::jsonb = %s::jsonb", pair).fetchone()
            assert row == (compared(pair[0]) == compared(pair[1]),)

        agree()


async def test_a_token_of_a_database_that_came_further_is_refused(database: URL, sql: Sql) -> None:
    """A reader who holds one, after a reset say, would hear nothing and then miss what was written until then."""
    async with bank(database) as it, bank(database) as another:
        place = await place_of(it.events, happened("a"))
        assert await another.events.after(str(place)) == place
        assert await another.events.after("0-0-0") == START
        row = sql.execute("select pg_snapshot_xmax(pg_current_snapshot())::text").fetchone()
        assert row is not None
        ahead = int(row[0]) + 1000
        for wrong in (Place(1, ahead, 1), Place(2, 1, 1), Place(9, 9, 9), Place(10**9 - 1, 10**18 - 1, 10**18 - 1)):
            with pytest.raises(Invalid, match="ahead of all"):
                await it.events.after(str(wrong))
        for number in range(3):
            later = await place_of(it.events, happened(f"b-{number}"))
            assert await another.events.after(str(later)) == later


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
            assert await it.loading.load(hops, "hop-1") == (123, 3)
            await it.states.settle()
        assert [each.data["number"] for each in await it.events.read("hop-1")] == ["4", 40, 41]


@pytest.mark.parametrize(("number", "raised"), [("four", "ValueError"), ("exit", "SystemExit"), (None, "TypeError")])
async def test_an_upcaster_that_fails_makes_its_event_unreadable(database: URL, number: Any, raised: str) -> None:
    async with bank(database) as it:
        await it.events.append([NewEvent(new_id(), "hop-1", EventType("report-hop", 1), {"number": number}, Cause())])
        with pytest.raises(Unreadable, match=rf"its upcaster _first_hop failed with {raised}"):
            await it.loading.load(hops, "hop-1")


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
            await it.events.append([record(f"lamp-{key}", Lit(n), Cause()) for n, key in enumerate(streams)])
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
        place = await it.append("a", Lit(2))
        assert place.position > 50
        await it.follow()
        assert (await it.rows())["a"]["watts"] == 3
        assert await it.views.wait_for(NAME, place, 10)
