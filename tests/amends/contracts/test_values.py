"""Values in Postgres and in memory: what a program sees of an event, a state or a row is what comes back of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from app.amends.projections.inline import InlineProjections
from app.amends.projections.row_queries import ReadModelQueries
from app.amends.store.aggregates.loader import AggregateLoader
from app.amends.store.aggregates.repository import Repository
from app.amends.store.events.postgres_events import PostgresEvents
from app.amends.store.events.writer import EventWriter
from app.amends.store.feed.notifier import FeedNotifier
from domain.amends.aggregate import Aggregate
from domain.amends.errors import Unstorable
from domain.amends.event import Cause, event
from domain.amends.projection import Projection, Recorded
from tests.amends.harness.databases import fresh_database
from tests.amends.harness.values import VALUES, Values
from tests.amends.store.harness.sagas import Store, store
from workflows.amends.ports.event_store import load_event, load_event_json, new_business_event
from workflows.amends.ports.projection_builds import BuildTarget, FeedEvent
from workflows.amends.projections.builds import ProjectionBuilds
from workflows.amends.projections.feed import recorded_event
from workflows.amends.projections.runner import Runner
from workflows.amends.simulation.batch_invariance import require_batch_invariance
from workflows.amends.simulation.memory.events import MemoryEvents
from workflows.amends.values.codec import load, parse_json, stored_value
from workflows.amends.values.jsonb_comparison import is_identical

LIMIT = 1_000_000
SAMPLE = find(VALUES, lambda _: True)
DRAWN = st.lists(VALUES, min_size=1, max_size=6)
SLOW = settings(
    max_examples=4, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@event("values-noted")
class Noted:
    values: Values


@dataclass(frozen=True)
class State:
    """The last values, and all texts in the order in which they came."""

    last: Values | None = None
    texts: dict[str, int] = field(default_factory=dict)


def fold(state: State, noted: Noted) -> State:
    return State(noted.values, state.texts | {noted.values.text: len(state.texts)})


def note(state: State, values: Values) -> list[Noted]:
    return [Noted(values)]


notes = Aggregate("note", initial=State(), evolve=fold)


@dataclass(frozen=True, kw_only=True)
class Row(Values):
    """The values as columns, and the key and how often they were seen."""

    key: str
    times: int


before: dict[str, list[Row]] = {}
"""The rows that `evolve` was given, by key."""


def evolve(row: Row | None, told: Recorded[Noted]) -> Row | None:
    if row is not None:
        before.setdefault(told.key, []).append(row)
        if row.times % 2:
            return replace(row, times=row.times + 1)
    values = {each.name: getattr(told.event.values, each.name) for each in fields(Values)}
    return Row(key=told.key, times=row.times + 1 if row else 1, **values)


followed = Projection("values_followed", version=1, of=notes, evolve=evolve, key="key")
inline = replace(followed, name="values_inline", mode="inline")
live = replace(followed, name="values_live", mode="live")
KNOWN: dict[tuple[str, int], Projection[Any, Any]] = {(each.name, 1): each for each in (followed, inline, live)}


@dataclass(frozen=True)
class Models:
    """Read models of all three modes, with those who write to them."""

    store: Store
    events: PostgresEvents
    builds: ProjectionBuilds
    views: ReadModelQueries

    async def note(self, key: str, *values: Values) -> None:
        await self.events.append([new_business_event(f"note-{key}", Noted(each), Cause()) for each in values])

    def runner(self) -> Runner:
        reader, target = self.store.reader, BuildTarget("values_followed", 1)
        return Runner(followed, target, self.store.projections, FeedNotifier(reader), f"test/{uuid4()}")

    async def told(self, key: str) -> list[Recorded[Noted]]:
        return [recorded_event(followed, FeedEvent.of(each)) for each in await self.events.read(f"note-{key}")]


@asynccontextmanager
async def models(url: URL) -> AsyncIterator[Models]:
    before.clear()
    async with store(url) as it:
        builds = ProjectionBuilds(KNOWN, it.projections)
        await builds.create_first_builds()
        events = PostgresEvents(EventWriter(it.committer, InlineProjections(KNOWN, it.reader)), it.reader)
        yield Models(it, events, builds, ReadModelQueries(builds, events))


@given(drawn=DRAWN)
@SLOW
def test_an_event_is_the_same_in_memory_and_in_postgres_as_it_was_when_it_was_decided(
    postgres_18: EmbeddedPostgres, drawn: list[Values]
) -> None:
    new = [new_business_event("note-1", Noted(values), Cause()) for values in drawn]

    async def play() -> None:
        memory = MemoryEvents()
        await memory.append(new)
        async with store(fresh_database(postgres_18)) as it:
            events = PostgresEvents(it.writer, it.reader)
            await events.append(new)
            for each, one, other in zip(new, await memory.read("note-1"), await events.read("note-1"), strict=True):
                for found in (one, other):
                    assert is_identical(load_event(notes.vocabulary, found.type, found.data), each.event)
                    assert is_identical(load_event_json(notes.vocabulary, found.type, found.data_json), each.event)

    asyncio.run(play())


@given(drawn=DRAWN)
@SLOW
def test_a_state_is_the_same_as_it_is_decided_and_folded_and_read_of_a_snapshot(
    postgres_18: EmbeddedPostgres, drawn: list[Values]
) -> None:
    async def play() -> None:
        async with store(fresh_database(postgres_18)) as it:
            events, loader = PostgresEvents(it.writer, it.reader), AggregateLoader(it.committer, it.reader, 1)
            repository = Repository(events, loader)
            for values in drawn:
                decided = await repository.acting(Cause()).decide(notes, "1", note, values)
            await loader.settle()
            whole = AggregateLoader(it.committer, it.reader, 10**6)
            loaded = await loader.load(notes, "note-1")
            folded, _ = await whole._from_the_beginning(notes, "note-1", it.reader.tuples, 10**6)
            assert is_identical(loaded[0], decided.state)
            assert is_identical(folded, decided.state)

    asyncio.run(play())


@given(drawn=DRAWN)
@SLOW
def test_a_row_is_the_same_in_every_mode_before_and_after_a_restart(
    postgres_18: EmbeddedPostgres, drawn: list[Values]
) -> None:
    async def play() -> None:
        async with models(fresh_database(postgres_18)) as it:
            runner = it.runner()
            for values in drawn:
                await it.note("without", values)
            await runner.catch_up()
            for values in drawn:
                await it.note("with", values)
                await it.runner().catch_up()  # a new one each time, which has nothing in memory
            for key in ("with", "without"):
                history = await it.told(key)
                met, pure = before.pop(key, []), followed(history)[key]
                before.pop(key, None)
                views = [await it.views.row(name, key) for name, _ in KNOWN]
                rows = [kept_row(view) for view in views]
                assert all(is_identical(row, rows[0]) for row in rows)
                assert is_identical(stored_value(pure, Row, "it", LIMIT).value, rows[0])
                assert all(is_identical(one, other) for one in met for other in met if one.times == other.times)
                require_batch_invariance(followed, history, [1, 2])
                require_exact(views, rows[0])

    asyncio.run(play())


def kept_row(view: Any) -> Row:
    """A row of what HTTP shows."""
    found: Row = stored_value(load(view, Row), Row, "it", LIMIT).value
    return found


def require_exact(views: Sequence[Any], row: Row) -> None:
    for view in views:
        assert view["amount"] == f"{row.amount:f}"
        assert view["maybe"] == (None if row.maybe is None else f"{row.maybe:f}")


@pytest.mark.parametrize(
    "odd",
    [
        {"amount": Decimal("NaN")},
        {"amount": Decimal("Infinity")},
        {"maybe": Decimal("-Infinity")},
        {"real": float("inf")},
        {"at": datetime(2026, 1, 1)},
        {"at": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=9)))},
        {"day": datetime(2026, 1, 1, tzinfo=UTC)},
        {"number": 2**63},
        {"amount": Decimal("1E+200000")},
        {"amount": Decimal("1E-20000")},
        {"text": "\0"},
        {"text": "half \ud83d"},
        {"number": 1.5},
        {"flag": None},
    ],
    ids=str,
)
async def test_a_row_that_would_not_be_what_it_was_sets_its_own_key_aside(
    odd: dict[str, Any], database_18: URL
) -> None:
    def odder(row: Row | None, told: Recorded[Noted]) -> Row | None:
        made = evolve(row, told)
        return made and (replace(made, **odd) if told.key == "odd" else made)

    projection = replace(followed, evolve=odder)
    values = sample()
    async with models(database_18) as it:
        for key in ("odd", "fine", "odd"):
            await it.note(key, values)
        reader, target = it.store.reader, BuildTarget("values_followed", 1)
        runner = Runner(projection, target, it.store.projections, FeedNotifier(reader), f"test/{uuid4()}")
        await runner.catch_up()
        assert [(each.key, each.waiting) for each in await it.store.projections.dead_letters()] == [("odd", 1)]
        assert await it.views.row("values_followed", "odd") is None
        assert (await it.views.row("values_followed", "fine") or {})["times"] == 1


def sample(**changed: Any) -> Values:
    return replace(SAMPLE, **changed)


async def test_an_amount_is_exact_in_psql_over_http_and_in_a_comparison(database: URL) -> None:
    exact = sample(amount=Decimal("90071992547409.93"), maybe=Decimal("0.10"))
    async with models(database) as it:
        await it.note("a", exact)
        await it.runner().catch_up()
        for name, _ in KNOWN:
            row = await it.views.row(name, "a")
            assert row is not None
            assert (row["amount"], row["maybe"]) == ("90071992547409.93", "0.10")
        found, _ = await it.views.rows("values_followed", {"amount": "90071992547409.930"}, None, 10)
        assert [row["key"] for row in found] == ["a"]
    with psycopg.connect(conninfo(database), autocommit=True) as sql:
        assert sql.execute("select amount from views.values_followed").fetchone() == (exact.amount,)
        ask = "select amends.compare_builds('values_followed', 1, 1, null, 10, 10)::text"
        assert parse_json((sql.execute(ask).fetchone() or ("",))[0])["differing"] == []


async def test_the_day_of_an_instant_is_the_same_in_memory_and_in_the_table(database: URL) -> None:
    half_past_midnight = datetime(2026, 1, 2, 0, 30, tzinfo=timezone(timedelta(hours=2)))
    async with models(database) as it:
        await it.note("a", sample(at=half_past_midnight), sample())
        await it.runner().catch_up()
        history = await it.told("a")
        followed(history)
        assert {row.at.date().isoformat() for row in before["a"]} == {"2026-01-01"}


async def test_an_event_that_would_come_back_as_another_one_is_not_appended() -> None:
    for odd in ({"real": float("nan")}, {"amount": Decimal("NaN")}, {"day": datetime(2026, 1, 1)}):
        with pytest.raises(Unstorable):
            new_business_event("note-1", Noted(sample(**odd)), Cause())
