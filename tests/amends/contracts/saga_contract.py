"""What every store of sagas promises, as tests that each is held to (workflows.amends.ports.saga_store.SagaStore)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from pydantic import JsonValue

from domain.amends.aggregate import Aggregate
from domain.amends.event import Cause, event
from workflows.amends.history import (
    Problem,
    SagaCompensated,
    SagaCompensating,
    SagaCompleted,
    SagaStarted,
    SagaStuck,
    SagaWaiting,
    SignalReceived,
    Status,
    StepCompleted,
    saga_histories,
)
from workflows.amends.history.replay_state import Checkpoint, ReplayState
from workflows.amends.ports.event_store import (
    EventStore,
    NewEvent,
    load_event_json,
    new_amends_event,
    new_business_event,
)
from workflows.amends.ports.execution_log import (
    Committed,
    Fenced,
    ForeignStep,
    SagaMissing,
    StartRequest,
    StatusChange,
    StepCommit,
    StreamMoved,
)
from workflows.amends.ports.saga_store import RecordedStart, SagaStore, StartOutcome

AT = datetime(2026, 1, 1, tzinfo=UTC)
EXECUTOR = "executor-1"
TYPE = "place-order:1"


@event("counted")
class Counted:
    number: int


def evolve(total: int, event: Counted) -> int:
    return total + event.number


tallies = Aggregate("tally", 0, evolve)


def starts(id: str, request: str = "r", inputs: str = "{}", **more: Any) -> StartRequest:
    event = new_amends_event(saga_histories.stream(id), SagaStarted("place-order", 1, "4711", id, {}), Cause())
    return StartRequest(id, "place-order", 1, "4711", id, request, inputs, event, **more)


def of(saga: str, *events: object) -> list[NewEvent]:
    return [new_amends_event(saga_histories.stream(saga), event, Cause()) for event in events]


def one(saga: str, event: object) -> NewEvent:
    return of(saga, event)[0]


def signal(saga: str, name: str = "paid", payload: JsonValue = None) -> NewEvent:
    return one(saga, SignalReceived(name, payload))


def checkpoint(step_id: int) -> Checkpoint:
    return Checkpoint(step_id, "step", '"done"', None, AT, AT)


def completed(step: str, slot: int) -> StepCompleted:
    return StepCompleted(step, 1, "step", slot, "digest", AT, 1, None)


@dataclass(frozen=True)
class Store:
    """Sagas, and the events that stand beside them."""

    sagas: SagaStore
    events: EventStore


@dataclass
class Running:
    """A saga of a store, with the token of whoever runs it."""

    it: Store
    id: str
    owner: str = "me"
    steps: count[int] = field(default_factory=lambda: count(1))

    async def commit(self, *events: object, **more: Any) -> Committed | StreamMoved:
        return await self.it.sagas.commit(self.id, self.owner, StepCommit(of(self.id, *events), **more))

    async def suspend(self, status: Status, *events: object, settled: bool = False, **change: Any) -> None:
        changed = StatusChange(status, **change)
        assert await self.commit(*events, change=changed, suspend=True, settled=settled) == Committed()

    async def wait(self) -> None:
        await self.suspend("waiting", SagaWaiting(1, "paid", None), waiting_for="paid", settled=True)

    async def stuck(self, **change: Any) -> None:
        await self.suspend("stuck", SagaStuck("why", 3, "charge"), reason="why", **change)

    async def complete(self, result: JsonValue = None) -> None:
        await self.commit(SagaCompleted(result), change=StatusChange("completed"))

    async def compensate(self, reason: str, error: Problem | None) -> None:
        await self.commit(SagaCompensating(reason, error), change=StatusChange("compensating", reason))
        await self.commit(SagaCompensated(reason), change=StatusChange("compensated", reason))

    async def stored(self) -> ReplayState:
        found = await self.it.sagas.load_replay_state(self.id)
        assert found is not None
        return found

    async def status(self) -> Status:
        return (await self.stored()).status

    async def history(self) -> list[object]:
        stored = await self.it.events.read(saga_histories.stream(self.id))
        return [load_event_json(saga_histories.vocabulary, each.type, each.data_json) for each in stored]

    async def claimed_again(self, owner: str = "another") -> bool:
        """Whether it was queued; then it has another owner from now on."""
        claimed = await self.it.sagas.claim(EXECUTOR, owner, [TYPE], 10)
        if self.id in (each.id for each in claimed):
            self.owner = owner
            return True
        return False


async def started(it: Store, id: str, **more: Any) -> Running:
    """A saga that was queued and claimed."""
    assert await it.sagas.start(starts(id, **more)) is StartOutcome.STARTED
    assert [each.id for each in await it.sagas.claim(EXECUTOR, "me", [TYPE], 10)] == [id]
    return Running(it, id)


class StartContract:
    """How a saga comes into being, and who gets it."""

    async def test_a_saga_is_started_once(self, it: Store) -> None:
        assert await it.sagas.start(starts("s-1")) is StartOutcome.STARTED
        assert await it.sagas.start(starts("s-1")) is StartOutcome.REPEATED
        assert await it.sagas.start(starts("s-1", "another request")) is StartOutcome.TAKEN
        assert [type(event) for event in await Running(it, "s-1").history()] == [SagaStarted]
        assert await it.sagas.recorded_start("s-1") == RecordedStart("place-order", 1, "{}")

    async def test_nobody_knows_a_saga_that_was_not_started(self, it: Store) -> None:
        assert await it.sagas.load_replay_state("s-1") is None
        assert await it.sagas.status_details("s-1") is None
        assert await it.sagas.recorded_start("s-1") is None

    async def test_queued_sagas_are_claimed_once_by_who_has_code_for_them(self, it: Store) -> None:
        for id in ("s-1", "s-2", "s-3"):
            await it.sagas.start(starts(id))
        assert await it.sagas.claim(EXECUTOR, "me", ["another-saga:1"], 10) == []
        claimed = [await it.sagas.claim(EXECUTOR, f"owner {number}", [TYPE], 2) for number in range(3)]
        assert [[each.id for each in some] for some in claimed] == [["s-1", "s-2"], ["s-3"], []]
        assert {(each.name, each.inputs) for some in claimed for each in some} == {("place-order", "{}")}

    async def test_one_that_is_started_with_an_owner_is_not_queued(self, it: Store) -> None:
        await it.sagas.start(starts("s-1", executor=EXECUTOR, owner="me"))
        assert await it.sagas.claim(EXECUTOR, "another", [TYPE], 10) == []
        saga = Running(it, "s-1")
        assert await saga.commit(completed("charge", 1)) == Committed()
        assert await saga.status() == "running"

    async def test_a_deadline_counts_from_the_start(self, it: Store) -> None:
        saga = await started(it, "s-1", deadline=timedelta(hours=1))
        assert (await saga.stored()).deadline_at is not None
        assert (await (await started(it, "s-2")).stored()).deadline_at is None


class CommitContract:
    """What one commit of an execution does."""

    async def test_events_checkpoint_and_status_are_written_together(self, it: Store) -> None:
        saga = await started(it, "s-1")
        change = StatusChange("compensating", "no")
        assert await saga.commit(completed("charge", 1), checkpoint=checkpoint(1), change=change) == Committed()
        stored = await saga.stored()
        assert (stored.status, stored.checkpoints, stored.version) == ("compensating", {1: checkpoint(1)}, 2)
        assert [type(event) for event in await saga.history()] == [SagaStarted, StepCompleted]

    async def test_a_stale_stream_spoils_all_of_it(self, it: Store) -> None:
        saga = await started(it, "s-1")
        before = await saga.stored()
        stale = await saga.commit(
            completed("charge", 1),
            expected={"saga-s-1": 1, "order-1": 3},
            checkpoint=checkpoint(1),
            change=StatusChange("stuck"),
        )
        assert stale == StreamMoved("order-1", 3, 0)
        assert await saga.stored() == before

    async def test_the_same_commit_again_changes_nothing(self, it: Store) -> None:
        saga = await started(it, "s-1")
        same = StepCommit(of("s-1", completed("charge", 1)), {"saga-s-1": 1}, checkpoint(1))
        assert [await it.sagas.commit("s-1", "me", same) for _ in range(2)] == [Committed(), Committed()]
        assert len(await saga.history()) == 2

    async def test_a_step_number_that_is_taken_writes_nothing(self, it: Store) -> None:
        saga = await started(it, "s-1")
        await saga.commit(completed("charge", 1), checkpoint=checkpoint(1))
        with pytest.raises(ForeignStep):
            await saga.commit(completed("ship", 1), checkpoint=checkpoint(1))
        assert len(await saga.history()) == 2

    async def test_nobody_but_the_owner_writes(self, it: Store) -> None:
        saga = await started(it, "s-1")
        with pytest.raises(Fenced):
            await it.sagas.commit("s-1", "another", StepCommit(of("s-1", completed("charge", 1))))
        await saga.wait()
        with pytest.raises(Fenced):
            await saga.commit(completed("charge", 1))
        assert await saga.history() == [SagaStarted("place-order", 1, "4711", "s-1", {}), SagaWaiting(1, "paid", None)]

    async def test_a_saga_that_is_not_there_is_missing(self, it: Store) -> None:
        with pytest.raises(SagaMissing):
            await Running(it, "s-1").commit(completed("charge", 1))

    async def test_an_execution_that_was_suspended_leaves_something_behind_unless_it_says_otherwise(
        self, it: Store
    ) -> None:
        saga = await started(it, "s-1")
        assert not (await saga.stored()).recovered, "nobody has run it before"
        await saga.wait()
        await it.sagas.signal("s-1", "paid", signal("s-1"), None)
        assert await saga.claimed_again()
        assert not (await saga.stored()).recovered
        await saga.suspend("waiting", SagaWaiting(2, "paid", None), waiting_for="paid")
        await it.sagas.signal("s-1", "paid", signal("s-1"), None)
        assert await saga.claimed_again("a third")
        assert (await saga.stored()).recovered

    async def test_a_transaction_reads_and_writes_the_streams_of_the_business(self, it: Store) -> None:
        saga = await started(it, "s-1")
        async with it.sagas.transaction("s-1", "me") as unit:
            assert await unit.load(tallies, "1") == (0, 0)
            events = [new_business_event("tally-1", Counted(5), Cause()), *of("s-1", completed("count", 1))]
            assert await unit.commit(StepCommit(events, {"tally-1": 0}, checkpoint(1))) == Committed()
        async with it.sagas.transaction("s-1", "me") as unit:
            assert await unit.load(tallies, "1") == (5, 1)
            events = [new_business_event("tally-1", Counted(1), Cause())]
            assert await unit.commit(StepCommit(events, {"tally-1": 0})) == StreamMoved("tally-1", 0, 1)
        assert len(await saga.history()) == 2
