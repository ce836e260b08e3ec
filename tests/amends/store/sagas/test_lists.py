"""Lists of sagas by all that they are filtered by, and what needs a person by its cause."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from app.amends.store.sagas.causes import CauseGroup, CauseGroups
from app.amends.store.sagas.filters import SagaFilters
from app.amends.store.sagas.summaries import SagaCount, SagaSummaries
from domain.amends.errors import Invalid
from tests.amends.contracts.saga_contract import of, starts
from tests.amends.store.harness.sagas import Store, store
from workflows.amends.causes.failure_cause import FailureCause
from workflows.amends.history import SagaStuck
from workflows.amends.ports.execution_log import StatusChange, StepCommit

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
REFUND = FailureCause("stuck", "place-order", 1, "refund_card", None, "ConnectionError: refund … is down")
COURIER = FailureCause("stuck", "place-order", 1, "book_courier", None, "TimeoutError: no answer within … s")
DECLINED = FailureCause("compensating", "place-order", 1, None, None, "card-declined")
WAITING = FailureCause("provider", "place-order", 1, "hold_stock", "stock")
BOARD: dict[str, Any] = {
    "name": "board",
    "key": "id",
    "columns": json.dumps([{"name": "id", "type": "text", "nullable": False}]),
    "indexes": "[]",
}
OPEN_BOARD = (
    "select amends.open_build(%(name)s, 1, %(key)s, %(columns)s::jsonb, %(indexes)s::jsonb, '{it-was}', false, true)"
)
SET_ASIDE = "insert into amends.set_aside (name, build, key, error, since) values ('board', 1, %s, %s, %s)"
FILL = """
insert into amends.sagas (id, name, version, root, reference, status, correlation_id, request, cause)
select 'many-' || n, 'place-order', 1, 'many-' || n, '', 'stuck', 'c', 'r', %s from generate_series(1, 10001) as n"""


@dataclass(frozen=True)
class Lists:
    """A store with lists, and a session of the owner's."""

    store: Store
    sagas: SagaSummaries
    causes: CauseGroups
    sql: psycopg.Connection

    async def start(self, id: str, change: StatusChange | None = None, actor: str = "ada", **columns: Any) -> None:
        """A saga that stands so; the columns are set by hand."""
        start = starts(id, executor="e", owner="me")
        event = replace(start.event, cause=replace(start.event.cause, actor=actor))
        await self.store.sagas.start(replace(start, event=event))
        if change:
            told = StepCommit(of(id, SagaStuck("why", 1)), change=change, suspend=True)
            await self.store.sagas.commit(id, "me", told)
        for name, value in columns.items():
            self.sql.execute(f"update amends.sagas set {name} = %s where id = %s".encode(), (value, id))

    async def ids(self, **filters: Any) -> list[str]:
        """Sagas that match, from pages of one; they are as many as are counted."""
        asked, cursor, found = SagaFilters(**filters), None, list[str]()
        while True:
            rows, cursor = await self.sagas.page(asked, 1, cursor)
            found += [row.id for row in rows]
            if cursor is None:
                break
        assert await self.sagas.count(asked) == SagaCount(len(found), False)
        return found


@pytest.fixture
async def lists(database: URL) -> AsyncIterator[Lists]:
    async with store(database) as made:
        with psycopg.connect(conninfo(database), autocommit=True) as sql:
            yield Lists(made, SagaSummaries(made.reader), CauseGroups(made.reader, 900.0), sql)


def stuck(cause: FailureCause) -> StatusChange:
    return StatusChange("stuck", "why", cause=cause)


async def test_a_list_is_filtered_by_all_that_its_rows_have(lists: Lists) -> None:
    await lists.start("s-1", started_at=NOW - 3 * DAY, reference="4712", correlation_id="story", parent="p-1")
    await lists.start("s-2", started_at=NOW - 2 * DAY, version=2, actor="bob")
    await lists.start("s-3", started_at=NOW - DAY, name="book-trip", status="completed")
    await lists.start("s-4", started_at=NOW, name="book-trip", version=2)
    assert await lists.ids() == ["s-4", "s-3", "s-2", "s-1"]
    assert await lists.ids(name="book-trip") == ["s-4", "s-3"]
    assert await lists.ids(version=2) == ["s-4", "s-2"]
    assert await lists.ids(name="place-order", version=2) == ["s-2"]
    assert await lists.ids(version=3) == []
    assert await lists.ids(version=2, actor="ada") == ["s-4"]
    assert await lists.ids(status="completed") == ["s-3"]
    assert await lists.ids(reference="4712") == await lists.ids(correlation_id="story") == ["s-1"]
    assert await lists.ids(parent="p-1") == ["s-1"]
    assert await lists.ids(actor="bob") == ["s-2"]
    assert await lists.ids(started_after=NOW - 2 * DAY, started_before=NOW) == ["s-3", "s-2"]


async def test_a_list_is_filtered_by_what_is_said_of_causes(lists: Lists) -> None:
    await lists.start("s-1", stuck(REFUND))
    await lists.start("s-2", stuck(COURIER))
    await lists.start("s-3", StatusChange("compensating", "no", cause=DECLINED))
    await lists.start("s-4")
    await lists.start("s-5", stuck(REFUND), actor="bob")
    assert await lists.ids(cause=REFUND.id) == ["s-5", "s-1"]
    assert await lists.ids(cause=DECLINED.id) == await lists.ids(error="DECLINED") == ["s-3"]
    assert await lists.ids(cause="c-000000000000") == []
    assert await lists.ids(step="book_courier") == ["s-2"]
    assert await lists.ids(error="e") == ["s-5", "s-3", "s-2", "s-1"]
    assert await lists.ids(error="error: refund 77 IS down") == ["s-5", "s-1"], "numbers are gaps in it too"
    assert await lists.ids(error="no answer within 10 s", status="stuck", name="place-order", version=1) == ["s-2"]
    assert await lists.ids(error="refund", actor="bob") == ["s-5"]
    assert await lists.ids(error="refund", name="book-trip") == []
    assert await lists.ids(error="%") == []
    (row,), _ = await lists.sagas.page(SagaFilters(error="declined"), 10, None)
    assert (row.cause, row.actor) == (DECLINED.id, "ada")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"status": "stuk"}, "status: must be one of queued, running"),
        ({"version": 0}, "version: must be a whole number from 1 on"),
        ({"cause": "refund"}, "cause: must be the id of a cause, such as c-0123456789ab; /workflows/causes lists them"),
        ({"error": ""}, "error: must have 1 to 200 characters"),
        ({"started_after": NOW, "started_before": NOW}, "started_before: must be later than started_after"),
    ],
)
def test_a_filter_that_nothing_can_match_is_refused_and_named(given: Any, problem: str) -> None:
    with pytest.raises(Invalid, match=problem):
        SagaFilters(**given)


async def test_no_more_than_ten_thousand_are_counted(lists: Lists) -> None:
    await lists.start("s-1", stuck(REFUND))
    lists.sql.execute(FILL, (REFUND.id,))
    for filters in (SagaFilters(), SagaFilters(cause=REFUND.id), SagaFilters(version=1), SagaFilters(status="stuck")):
        assert await lists.sagas.count(filters) == SagaCount(10_000, True)
    (group,) = await lists.causes.all()
    assert (group.count, group.more) == (10_000, True)


async def test_what_needs_a_person_is_grouped_by_cause(lists: Lists) -> None:
    for number in range(7):
        await lists.start(f"s-{number}", stuck(REFUND), since=NOW - number * DAY, compensation_cause=DECLINED.id)
    await lists.start("s-7", stuck(COURIER), since=NOW - DAY)
    for id, status in (("s-8", "stranded"), ("s-9", "abandoned")):
        await lists.start(id, StatusChange(status, "why"), since=NOW)  # type: ignore[arg-type]
    await lists.start("s-10", StatusChange("compensating", "no", cause=DECLINED))
    await lists.start("s-11")
    refund, courier, *others = await lists.causes.all()
    eldest = NOW - 6 * DAY
    examples = ("s-6", "s-5", "s-4", "s-3", "s-2")
    assert refund == CauseGroup(REFUND, 7, False, eldest, examples, ("retry", "skip", "resolve"))
    acts = ("retry", "skip", "resolve", "cancel")
    assert courier == CauseGroup(COURIER, 1, False, NOW - DAY, ("s-7",), acts)
    assert {each.cause.kind: (each.examples, each.acts) for each in others} == {
        "stranded": (("s-8",), ("cancel",)),
        "abandoned": (("s-9",), ("compensate", "resume")),
    }


async def test_who_waits_for_a_provider_needs_a_person_after_a_while(lists: Lists) -> None:
    for id, waits in (("s-1", timedelta(hours=1)), ("s-2", timedelta(seconds=10))):
        change = StatusChange("running", provider="stock", provider_since=NOW - waits, cause=WAITING)
        await lists.start(id, change)
    (group,) = await lists.causes.all()
    assert group == CauseGroup(WAITING, 1, False, NOW - timedelta(hours=1), ("s-1",), ("cancel",))
    assert await lists.ids(cause=WAITING.id) == ["s-2", "s-1"]


async def test_keys_of_read_models_that_are_set_aside_are_grouped_by_their_error(lists: Lists) -> None:
    lists.sql.execute(OPEN_BOARD, BOARD)
    for number, error in enumerate(["KeyError: 'a'", "ValueError: 3 is too few", "KeyError: 'b'"]):
        lists.sql.execute(SET_ASIDE, (f"k-{number}", error, NOW + number * DAY))
    missing, few = await lists.causes.all()
    cause = FailureCause("read-model", "board", 1, error="KeyError: …")
    assert missing == CauseGroup(cause, 2, False, NOW, ("k-0", "k-2"), ("retry", "skip"))
    assert (few.cause.error, few.examples) == ("ValueError: … is too few", ("k-1",))
