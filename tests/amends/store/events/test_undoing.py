"""Undo and redo: the last decision is taken back by inverse events, and nothing is deleted."""

from __future__ import annotations

import asyncio
import sys

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from domain.amends.aggregate import Aggregate
from domain.amends.errors import Conflict, DefinitionError, NotFound, StaleVersion
from domain.amends.event import Cause, event
from tests.amends.business.account import MoneyDeposited, MoneyWithdrawn
from tests.amends.business.order import OrderPlaced, orders
from tests.amends.harness.databases import fresh_database
from tests.amends.store.harness.accounts import Bank, bank
from tests.amends.store.harness.sagas import started, step_commit
from workflows.amends.ports.event_store import new_business_event
from workflows.amends.ports.execution_log import StatusChange

Sql = psycopg.Connection


async def refused(it: Bank, turn: str, id: str = "a") -> str:
    """Why it cannot be done; nothing was written."""
    before = await it.told(id)
    with pytest.raises(Conflict) as raised:
        await it.reverse(turn, id)  # type: ignore[arg-type]
    assert raised.value.kind == turn
    assert await it.told(id) == before
    return str(raised.value)


async def test_the_last_decision_is_taken_back_and_made_again(database: URL) -> None:
    async with bank(database) as it:
        await it.open("a")
        await it.deposit("a", 50)
        await it.withdraw("a", 20)
        assert (await it.reverse("undo", "a")).state.balance == 50
        assert await it.balance("a") == 50
        assert (await it.reverse("redo", "a")).version == 5
        assert await it.balance("a") == 30
        assert await it.told("a") == [
            "account-opened", "money-deposited", "money-withdrawn", "withdrawal-reversed", "money-withdrawn",
        ]  # fmt: skip


async def test_the_record_says_who_took_back_what_and_why(database: URL) -> None:
    async with bank(database) as it:
        await it.open("a")
        await it.deposit("a", 50)
        await it.reverse("undo", "a")
        await it.reverse("redo", "a")
        opened, deposited, undone, redone = [event.metadata for event in await it.events.read("account-a")]
        assert undone["undoes"] == deposited["decision"] != opened["decision"]
        assert redone["redoes"] == undone["decision"]
        assert (undone["actor"], undone["reason"]) == ("bob", "a mistake")


async def test_undo_again_goes_further_back_and_redo_comes_forward_again(database: URL) -> None:
    async with bank(database) as it:
        await it.open("a")
        for amount in (1, 10, 100):
            await it.deposit("a", amount)
        balances = []
        for turn in ("undo", "undo", "redo", "undo", "undo", "redo", "redo", "redo"):
            await it.reverse(turn, "a")
            balances.append(await it.balance("a"))
        assert balances == [11, 1, 11, 1, 0, 1, 11, 111]
        assert "nothing was undone" in await refused(it, "redo")


async def test_a_redone_decision_is_undone_again(database: URL) -> None:
    async with bank(database) as it:
        await it.open("a")
        await it.deposit("a", 5)
        for expected in (0, 5, 0, 5, 0):
            await it.reverse("undo" if expected == 0 else "redo", "a")
            assert await it.balance("a") == expected


async def test_after_a_new_decision_there_is_nothing_to_redo(database: URL) -> None:
    async with bank(database) as it:
        await it.open("a")
        await it.deposit("a", 50)
        await it.reverse("undo", "a")
        await it.deposit("a", 7)
        assert "nothing was undone since the last decision" in await refused(it, "redo")
        await it.reverse("undo", "a")
        assert await it.balance("a") == 0


async def test_what_has_no_inverse_is_not_undone(database: URL) -> None:
    async with bank(database) as it:
        await it.open("a", 50)
        assert await refused(it, "undo") == "It cannot be undone: account-opened has no inverse."
        await it.deposit("a", 5)
        await it.reverse("undo", "a")
        assert "account-opened has no inverse" in await refused(it, "undo")


async def test_an_aggregate_without_inverses_is_not_undone(database: URL) -> None:
    async with bank(database) as it:
        placed = OrderPlaced("1")
        await it.events.append([new_business_event("order-1", placed, Cause())])
        with pytest.raises(Conflict, match="order declares no inverses"):
            await it.undoing.perform("undo", orders, "order-1", None, Cause(), "why")


async def test_an_inverse_that_the_state_does_not_allow_any_more_is_refused(database: URL) -> None:
    """An import overdrew the account; since then, the money that came last is not all there."""
    async with bank(database) as it:
        await it.open("a")
        await it.append("a", MoneyWithdrawn(20))
        await it.deposit("a", 50)
        assert "the state has moved on: Account a holds 30, which is less than 50" in await refused(it, "undo")
        await it.deposit("a", 20)
        await it.reverse("undo", "a")
        assert await it.balance("a") == 30


async def test_a_decision_of_several_events_is_taken_back_whole_and_backwards(database: URL) -> None:
    async with bank(database) as it:
        await it.open("a")
        both = [
            new_business_event("account-a", event, Cause(decision="d"))
            for event in (MoneyDeposited(5), MoneyWithdrawn(5))
        ]
        await it.events.append(both)
        await it.reverse("undo", "a")
        assert (await it.told("a"))[-2:] == ["withdrawal-reversed", "deposit-reversed"]


async def test_events_that_name_no_decision_are_one_for_each_commit(database: URL) -> None:
    async with bank(database) as it:
        await it.open("a")
        await it.append("a", MoneyDeposited(1), MoneyDeposited(2))
        await it.append("a", MoneyDeposited(10))
        await it.reverse("undo", "a")
        assert await it.balance("a") == 3
        await it.reverse("undo", "a")
        assert await it.balance("a") == 0


async def test_a_stream_that_has_moved_on_is_left_alone(database: URL) -> None:
    async with bank(database) as it:
        await it.open("a")
        await it.deposit("a", 50)
        with pytest.raises(StaleVersion) as raised:
            await it.reverse("undo", "a", version=1)
        assert (raised.value.expected, raised.value.actual) == (1, 2)
        assert await it.balance("a") == 50


async def test_of_many_who_undo_at_once_one_does(database: URL) -> None:
    async with bank(database) as it:
        await it.open("a")
        await it.deposit("a", 1)
        await it.deposit("a", 10)
        outcomes = await asyncio.gather(*(it.reverse("undo", "a", 3) for _ in range(12)), return_exceptions=True)
        assert sum(isinstance(outcome, StaleVersion) for outcome in outcomes) == 11
        assert await it.balance("a") == 1


async def test_undo_and_redo_a_hundred_times_end_where_they_began(database_18: URL) -> None:
    async with bank(database_18, snapshot_every=7) as it:
        await it.open("a")
        await it.deposit("a", 50)
        for _ in range(100):
            assert (await it.reverse("undo", "a")).state.balance == 0
            assert (await it.reverse("redo", "a")).state.balance == 50
        assert await it.balance("a") == 50
        assert len(await it.told("a")) == 202
        assert "nothing was undone" in await refused(it, "redo")


@pytest.mark.timeout(170)
def test_undo_and_redo_are_those_of_an_editor(postgres_18: EmbeddedPostgres) -> None:
    """Random decisions, undos and redos, with and without snapshots, compared with a list and a place in it."""
    url, numbers = fresh_database(postgres_18), iter(range(sys.maxsize))
    words = st.integers(1, 9) | st.sampled_from(["undo", "undo", "redo"])

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(every=st.sampled_from([1, 3, 500]), words=st.lists(words, max_size=14))
    def compare(every: int, words: list[int | str]) -> None:
        asyncio.run(_compare(url, f"e{next(numbers)}", every, words))

    compare()


async def _compare(url: URL, id: str, every: int, words: list[int | str]) -> None:
    amounts, cursor = list[int](), 0
    async with bank(url, snapshot_every=every) as it:
        await it.open(id)
        for word in words:
            if isinstance(word, int):
                await it.deposit(id, word)
                amounts, cursor = [*amounts[:cursor], word], cursor + 1
            elif cursor == (0 if word == "undo" else len(amounts)):
                await refused(it, word, id)
            else:
                await it.reverse("undo" if word == "undo" else "redo", id)
                cursor += -1 if word == "undo" else 1
            assert await it.balance(id) == sum(amounts[:cursor])
            await it.loader.settle()


async def test_events_that_were_appended_by_others_leave_nothing_to_redo(database_18: URL) -> None:
    async with bank(database_18) as it:
        await it.open("a")
        await it.deposit("a", 50)
        await it.reverse("undo", "a")
        await it.append("a", MoneyDeposited(1))
        assert "nothing was undone since the last decision" in await refused(it, "redo")
        await it.reverse("undo", "a")
        assert await it.balance("a") == 0
        assert "account-opened has no inverse" in await refused(it, "undo")


@event("switch-turned")
class Turned:
    pass


def turned(state: int, event: Turned) -> int:
    return state + 1


async def test_an_inverse_without_events_is_refused_for_it_would_leave_no_trace(database_18: URL) -> None:
    switches: Aggregate[int, Turned] = Aggregate("switch", 0, turned, inverse=lambda state, event: [])
    async with bank(database_18) as it:
        await it.events.append([new_business_event("switch-1", Turned(), Cause())])
        with pytest.raises(Conflict, match="the inverse of switch-turned has no events"):
            await it.undoing.perform("undo", switches, "switch-1", None, Cause(), "why")


async def test_an_inverse_that_the_fold_does_not_take_is_refused(database_18: URL) -> None:
    wrong: Aggregate[int, Turned] = Aggregate(
        "switch",
        0,
        turned,
        inverse=lambda state, event: [MoneyDeposited(1)],  # type: ignore[list-item]
    )
    async with bank(database_18) as it:
        await it.events.append([new_business_event("switch-1", Turned(), Cause())])
        with pytest.raises(DefinitionError, match="its evolve does not take MoneyDeposited"):
            await it.undoing.perform("undo", wrong, "switch-1", None, Cause(), "why")


async def test_a_stream_that_is_not_there_is_not_found(database: URL) -> None:
    async with bank(database) as it:
        with pytest.raises(NotFound):
            await it.reverse("undo", "nobody")


async def test_while_a_saga_is_open_on_it_a_stream_is_not_undone(database: URL, sql: Sql) -> None:
    async with bank(database) as it:
        await it.open("a")
        saga = await started(it.store)
        step = new_business_event("account-a", MoneyDeposited(5), Cause(workflow_id=saga))
        await it.store.sagas.commit(saga, "me", step_commit(saga, 1, step))
        await it.deposit("a", 1)
        assert f"saga {saga} is still open on account-a" in await refused(it, "undo")
        done = step_commit(saga, 2)
        await it.store.sagas.commit(saga, "me", type(done)(done.events, {}, done.checkpoint, StatusChange("completed")))
        await it.reverse("undo", "a")
        assert await it.balance("a") == 5
