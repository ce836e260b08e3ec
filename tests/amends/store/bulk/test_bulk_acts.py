"""A bulk act acts on each saga of its set once, whoever works it off, and leaves alone what has moved on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import URL

from app.amends.bulk.bulk_acts import BulkAct, BulkActs, BulkItem, ItemResult
from app.amends.bulk.request import MOST, BulkRequest, require_size
from app.amends.bulk.runner import BulkRunner, Pace
from app.amends.store.events.postgres_events import PostgresEvents
from app.amends.store.sagas.filters import SagaFilters
from domain.amends.errors import Conflict, Invalid, NotFound
from domain.amends.event import Cause
from tests.amends.contracts.saga_contract import EXECUTOR, TYPE, Running, Store, started
from tests.amends.store.harness.sagas import store
from workflows.amends.acts.saga_act import SagaAct
from workflows.amends.client import SagaClient
from workflows.amends.history import OperatorActed, SignalReceived
from workflows.amends.saga import Call, Saga, signal, step

AT_ONCE = Pace(batch=3, together=2, per_second=1e6, under_way=10**6, patience=0)
ANOTHER = "executor-2"


@signal("bulk-paid")
class Paid:
    amount: int


class PlaceOrder(Saga[str, None], name="place-order", signals=(Paid,)):
    async def run(self, request: str) -> None:
        await self.charge()

    @step(compensation=None)
    async def charge(self, call: Call) -> None: ...


@dataclass
class Told:
    """What a server is told of what was done to its sagas."""

    cancelled: list[str] = field(default_factory=list)

    def request_queue_check(self) -> None:
        """Nothing is queued here."""

    def cancel(self, id: str, reason: str) -> None:
        self.cancelled.append(id)


@dataclass(frozen=True)
class Bulk:
    """A store with sagas, and two servers."""

    it: Store
    client: SagaClient
    acts: BulkActs
    told: Told

    def runner(self, executor: str = EXECUTOR) -> BulkRunner:
        return BulkRunner(self.acts, self.client, self.told, lambda: executor, AT_ONCE)

    async def stuck(self, *ids: str) -> None:
        for id in ids:
            await (await started(self.it, id)).stuck()

    async def begin(self, id: str, act: str = "retry", expected: int | None = None, **filters: Any) -> tuple[int, bool]:
        return await self.acts.begin(id, request(act, **filters), expected, None)

    async def run(self, executor: str = EXECUTOR) -> None:
        """Work off all that there is."""
        runner = self.runner(executor)
        while await runner.one_batch():
            pass

    async def one(self, id: str) -> BulkAct:
        return (await self.acts.one(id))[0]

    async def acted(self, id: str) -> int:
        """How often an operator has acted on a saga."""
        return sum(isinstance(each, OperatorActed) for each in await Running(self.it, id).history())


def request(name: Any = "retry", **filters: Any) -> BulkRequest:
    sent = SagaAct(name, "why", signal="bulk-paid", payload={"amount": 5})
    act = sent if name == "signal" else SagaAct(name, "why")
    return BulkRequest(SagaFilters(**(filters or {"name": "place-order"})), act, "ann")


def counts(found: BulkAct) -> tuple[str, int, int, int, int]:
    return found.status, found.total, found.done, found.failed, found.moved_on


@pytest.fixture
async def bulk(database: URL) -> AsyncIterator[Bulk]:
    async with store(database) as made:
        for executor in (EXECUTOR, ANOTHER):
            await made.sagas.register_executor(executor, "here", 1, 1.0, [TYPE], 3600.0)
        it = Store(made.sagas, PostgresEvents(made.writer, made.reader))
        acts = BulkActs(made.committer, made.reader)
        yield Bulk(it, SagaClient([PlaceOrder()], made.sagas), acts, Told())


IDS = [f"s-{number}" for number in range(7)]


async def test_each_saga_is_acted_on_once_in_the_name_of_whoever_began_it(bulk: Bulk) -> None:
    await bulk.stuck(*IDS)
    assert await bulk.begin("b-1", expected=7) == (7, True)
    await bulk.run()
    assert counts(await bulk.one("b-1")) == ("completed", 7, 7, 0, 0)
    assert [await bulk.acted(id) for id in IDS] == [1] * 7
    stored = await bulk.it.events.read("saga-s-3")
    assert (stored[-1].metadata["actor"], stored[-1].metadata["causation_id"]) == ("ann", "bulk b-1")


async def test_the_set_is_fixed_when_it_begins(bulk: Bulk) -> None:
    await bulk.stuck("s-1")
    await bulk.begin("b-1")
    await bulk.stuck("s-2")
    await bulk.run()
    assert counts(await bulk.one("b-1")) == ("completed", 1, 1, 0, 0)
    assert await bulk.acted("s-2") == 0


async def test_what_has_moved_on_is_counted_and_left_alone_also_if_it_is_stuck_again(bulk: Bulk) -> None:
    await bulk.stuck("s-1", "s-2", "s-3")
    await bulk.begin("b-1")
    for id in ("s-1", "s-2"):
        await bulk.client.handle_stuck(id, "retry", "by hand", Cause())
    again = Running(bulk.it, "s-2", "again")
    assert {each.id for each in await bulk.it.sagas.claim(EXECUTOR, "again", [TYPE], 10)} == {"s-1", "s-2"}
    await again.stuck()
    await bulk.run()
    assert counts(await bulk.one("b-1")) == ("completed", 3, 1, 0, 2)
    assert [await bulk.acted(id) for id in ("s-1", "s-2", "s-3")] == [1, 1, 1]


async def test_one_that_gets_stuck_anew_at_the_last_moment_is_left_alone(bulk: Bulk) -> None:
    await bulk.stuck("s-1")
    await bulk.begin("b-1")
    taken = await bulk.acts.take(EXECUTOR, 10)
    assert taken is not None
    (item,) = await bulk.acts.batch(taken, 5)
    await bulk.client.handle_stuck("s-1", "retry", "by hand", Cause())
    again = Running(bulk.it, "s-1")
    assert await again.claimed_again()
    await again.stuck()
    with pytest.raises(Conflict, match="has got stuck anew"):
        await bulk.client.handle_stuck("s-1", "retry", "why", Cause(), stuck_at=item.stuck_at)
    assert await bulk.acted("s-1") == 1


async def test_a_server_that_dies_before_it_records_a_batch_is_followed_by_one_that_acts_once(bulk: Bulk) -> None:
    await bulk.stuck(*IDS)
    await bulk.begin("b-1")
    dying = bulk.runner()
    taken = await bulk.acts.take(EXECUTOR, 1000)
    assert taken is not None
    items = await bulk.acts.batch(taken, 3)
    done = [await dying._result(taken, each) for each in items]
    assert [each and each.outcome for each in done] == ["done"] * 3
    await bulk.run(ANOTHER)
    assert (await bulk.one("b-1")).done == 0  # the lease of the first one holds
    await bulk.it.sagas.end_executors([EXECUTOR], ANOTHER, died=True)
    await bulk.run(ANOTHER)
    assert counts(await bulk.one("b-1")) == ("completed", 7, 7, 0, 0)
    assert [await bulk.acted(id) for id in IDS] == [1] * 7


async def test_a_server_that_was_overtaken_records_nothing(bulk: Bulk) -> None:
    await bulk.stuck("s-1", "s-2")
    await bulk.begin("b-1")
    slow = await bulk.acts.take(EXECUTOR, 0)
    assert slow is not None
    assert await bulk.acts.take(ANOTHER, 1000) is not None
    assert await bulk.acts.record("b-1", EXECUTOR, [ItemResult(1, "failed", "x")], 10) is None
    assert counts(await bulk.one("b-1")) == ("running", 2, 0, 0, 0)
    assert await bulk.acts.record("b-1", ANOTHER, [ItemResult(1, "done")], 10) == "running"
    assert await bulk.acts.record("b-1", ANOTHER, [ItemResult(1, "failed", "x")], 10) == "running"
    assert counts(await bulk.one("b-1")) == ("running", 2, 1, 0, 0)


async def test_two_servers_at_once_act_once(bulk: Bulk) -> None:
    await bulk.stuck(*IDS)
    await bulk.begin("b-1")
    taken = await bulk.acts.take(EXECUTOR, 1000)
    assert taken is not None
    items = await bulk.acts.batch(taken, 10)

    async def both(item: BulkItem) -> None:
        first, second = await asyncio.gather(
            bulk.runner()._result(taken, item), bulk.runner(ANOTHER)._result(taken, item)
        )
        assert (first and first.outcome) == (second and second.outcome) == "done"

    for each in items:
        await both(each)
    assert [await bulk.acted(id) for id in IDS] == [1] * 7


async def test_an_executor_that_was_ended_takes_nothing(bulk: Bulk) -> None:
    await bulk.stuck("s-1")
    await bulk.begin("b-1")
    await bulk.it.sagas.end_executors([EXECUTOR], ANOTHER, died=True)
    assert await bulk.acts.take(EXECUTOR, 10) is None


async def test_it_can_be_paused_resumed_and_cancelled(bulk: Bulk) -> None:
    await bulk.stuck(*IDS)
    await bulk.begin("b-1")
    await bulk.runner().one_batch()
    assert await bulk.acts.steer("b-1", "pause", "ann", "wait") == {"id": "b-1", "status": "paused"}
    await bulk.run()
    assert counts(await bulk.one("b-1")) == ("paused", 7, 3, 0, 0)
    with pytest.raises(Conflict, match="Bulk act b-1 is paused: there is nothing to pause"):
        await bulk.acts.steer("b-1", "pause", "ann", "wait")
    await bulk.acts.steer("b-1", "resume", "bob", "go on")
    await bulk.runner().one_batch()
    await bulk.acts.steer("b-1", "cancel", "ann", "enough")
    await bulk.run()
    found = await bulk.one("b-1")
    assert counts(found) == ("cancelled", 7, 6, 0, 0)
    assert found.finished_at is not None
    assert [(each["action"], each["actor"], each["reason"]) for each in found.notes] == [
        ("begin", "ann", "why"),
        ("pause", "ann", "wait"),
        ("resume", "bob", "go on"),
        ("cancel", "ann", "enough"),
    ]
    with pytest.raises(NotFound):
        await bulk.acts.steer("none", "pause", "ann", "x")


async def test_what_is_begun_again_under_its_id_is_the_same(bulk: Bulk) -> None:
    await bulk.stuck("s-1", "s-2")
    assert await bulk.begin("b-1") == (2, True)
    await bulk.run()
    assert await bulk.begin("b-1") == (2, True)
    assert counts(await bulk.one("b-1")) == ("completed", 2, 2, 0, 0)


async def test_more_than_expected_or_than_may_be_are_not_begun(bulk: Bulk) -> None:
    await bulk.stuck("s-1", "s-2")
    assert await bulk.begin("b-1", expected=1) == (2, False)
    with pytest.raises(NotFound):
        await bulk.one("b-1")
    with pytest.raises(Conflict, match="2 sagas match by now, and 1 were expected"):
        require_size(2, 1)
    with pytest.raises(Invalid, match="matches more than 50,000 sagas"):
        require_size(MOST + 1, None)
    require_size(MOST, MOST)


async def test_several_bulk_acts_take_turns(bulk: Bulk) -> None:
    await bulk.stuck(*IDS)
    for number, some in enumerate((IDS[:4], IDS[4:])):
        for id in some:
            await bulk.client.signal(id, "bulk-paid", {"amount": number}, Cause())
    await bulk.begin("b-1", "signal")
    await bulk.begin("b-2", "signal")
    runner = bulk.runner()
    for _ in range(2):
        assert await runner.one_batch()
    assert [(await bulk.one(id)).done for id in ("b-1", "b-2")] == [3, 3]
    await bulk.run()
    assert [counts(await bulk.one(id)) for id in ("b-1", "b-2")] == [("completed", 7, 7, 0, 0)] * 2


async def test_a_signal_that_does_not_fit_fails_by_its_cause(bulk: Bulk) -> None:
    await bulk.stuck("s-1", "s-2")
    wanted = BulkRequest(
        SagaFilters(status="stuck"), SagaAct("signal", "why", signal="bulk-paid", payload={"amount": "much"}), "ann"
    )
    await bulk.acts.begin("b-1", wanted, None, None)
    await bulk.run()
    found, (failure,) = await bulk.acts.one("b-1")
    assert counts(found) == ("completed", 2, 0, 2, 0)
    assert (failure.count, failure.error.startswith("amount: "), sorted(failure.examples)) == (2, True, ["s-1", "s-2"])


async def test_a_signal_and_a_cancel_reach_all_that_are_not_finished(bulk: Bulk) -> None:
    waiting, finished = await started(bulk.it, "s-1"), await started(bulk.it, "s-2")
    await waiting.wait()
    await finished.complete()
    await bulk.stuck("s-3")
    await bulk.begin("b-1", "signal")
    await bulk.begin("b-2", "cancel")
    await bulk.run()
    assert counts(await bulk.one("b-1")) == ("completed", 2, 2, 0, 0)
    assert counts(await bulk.one("b-2")) == ("completed", 2, 2, 0, 0)
    assert sorted(bulk.told.cancelled) == ["s-1", "s-3"]
    assert any(isinstance(each, SignalReceived) for each in await waiting.history())


@pytest.mark.parametrize("act", ["retry", "cancel"])
async def test_a_filter_of_finished_sagas_concerns_none(bulk: Bulk, act: str) -> None:
    await (await started(bulk.it, "s-1")).complete()
    assert await bulk.begin("b-1", act, status="completed") == (0, True)
    assert counts(await bulk.one("b-1")) == ("completed", 0, 0, 0, 0)
