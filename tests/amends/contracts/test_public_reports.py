"""What was reported of other event stores, tried on both of ours: identity, names and values."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from enum import Flag, IntEnum
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from domain.amends.errors import Conflict, Invalid, StaleVersion, Unstorable
from domain.amends.event import Cause, EventType, event
from domain.amends.expected import NONE, exact
from domain.amends.vocabulary import Vocabulary
from tests.amends.contracts.contract import ANSWER, place_of, require_refused, whole
from tests.amends.store.harness.accounts import bank
from tests.amends.store.harness.sagas import event as happened
from workflows.amends.ports.event_store import (
    AppendResult,
    EventStore,
    FeedFilter,
    RepeatedRequest,
    StoredAnswer,
    load_event_json,
    new_business_event,
)
from workflows.amends.simulation.memory.events import MemoryEvents, comparable_json
from workflows.amends.values.codec import json_text

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
]
OUTSIDE_TEXT = ["a\0b", "half a \ud800"]


class Number(IntEnum):
    ONE = 1
    TWO = 2


class Way(Flag):
    NORTH = 1
    EAST = 2


@event("report-kept")
class Kept:
    """Values of which one or another library lost a part."""

    text: str
    whole: int
    floating: float
    amount: Decimal
    lasting: timedelta
    by_number: dict[Number, str]
    by_truth: dict[bool, str]
    way: Way
    none: tuple[int, ...] = ()


KEPT = [
    Kept(
        "\\u0000 \u2028", 19_933_688_932_870_350_000, 3322.1755149730398, Decimal("1.10"), timedelta(0), {}, {}, Way(0)
    ),
    Kept("𝓓𝓞", 2**70, 5e-324, Decimal("1E+30"), timedelta(microseconds=99), {Number.TWO: "2"}, {False: "no"}, Way.EAST),
    Kept("", -(2**63) - 1, 1e308, Decimal("-0.00"), -timedelta(microseconds=1), {}, {True: "yes", False: "no"}, Way(3)),
    Kept("\x7f", 0, 0.1 + 0.2, Decimal(10) ** -40, timedelta.max, {Number.ONE: ""}, {}, Way.NORTH, (2**53 + 1,)),
    Kept("e\u0301", 1, 1.0, Decimal("123456789012345678901234567890.5"), timedelta.min, {}, {}, Way(3)),
]


class Reports:
    """What both stores are tried with."""

    @pytest.mark.parametrize("value", KEPT, ids=range(len(KEPT)))
    async def test_a_value_comes_back_to_its_last_digit(self, events: EventStore, value: Kept) -> None:
        await events.append([new_business_event("a", value, Cause())])
        (stored,) = await events.read("a")
        assert repr(load_event_json(Vocabulary((Kept,)), stored.type, stored.data_json)) == repr(value)

    async def test_a_known_id_is_not_appended_again_at_the_version_that_the_stream_has(
        self, events: EventStore
    ) -> None:
        known = happened("a")
        cursor = await place_of(events, known, a=NONE)
        assert await place_of(events, known, a=exact(1)) == cursor
        assert await place_of(events, known, a=exact(0)) == cursor
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
        cursor = await place_of(events, known)
        assert await place_of(events, known) == cursor
        assert await place_of(events, replace(known, data={"value": [1.0, 10**23, 10**308, 5e-324, 0]})) == cursor

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
            assert Counter(map(type, done)).keys() <= {AppendResult, Conflict}
            assert any(isinstance(each, AppendResult) for each in done)
        ids = Counter(each.id for each in await events.feed(limit=1000))
        assert set(ids.values()) == {1}

    async def test_names_that_look_alike_are_streams_of_their_own(self, events: EventStore) -> None:
        for name in LOOKING_ALIKE:
            await place_of(events, happened(name), **{name: NONE})
        await whole(events, len(LOOKING_ALIKE))
        for name in LOOKING_ALIKE:
            (stored,) = await events.read(name)
            assert (stored.stream, stored.version) == (name, 1)
            assert await events.feed(only=FeedFilter(stream=name)) == [stored]

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
            with pytest.raises((Unstorable, Invalid)):
                await events.append([happened("b"), wrong])
        with pytest.raises((Unstorable, Invalid)):
            await events.append([happened("b")], {outside: NONE})
        with pytest.raises(Unstorable):
            await events.append([happened("b")], {}, StoredAnswer("key", "digest", {"name": outside}))
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
        assert isinstance(first, RepeatedRequest)
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
            pair = (json_text(one), json_text(other))
            row = connection.execute("select %s::jsonb = %s::jsonb", pair).fetchone()
            assert row == (comparable_json(pair[0]) == comparable_json(pair[1]),)

        agree()
