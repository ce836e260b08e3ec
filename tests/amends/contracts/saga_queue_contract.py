"""Who runs a saga, and who looks after one that nobody runs, as tests that each store is held to."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.amends.errors import NotFound, StaleVersion
from tests.amends.contracts.saga_contract import (
    AT,
    EXECUTOR,
    TYPE,
    Running,
    Store,
    completed,
    of,
    one,
    signal,
    started,
    starts,
)
from workflows.amends.history import (
    CancelRequested,
    OperatorActed,
    SagaCompensating,
    SagaIncompatible,
    SagaMigrated,
    SagaTerminated,
    SagaWaiting,
    saga_histories,
)
from workflows.amends.ports.event_store import FeedCursor, RepeatedRequest, StoredAnswer
from workflows.amends.ports.execution_log import Fenced, StatusChange, StepCommit
from workflows.amends.ports.executors import OtherExecutor
from workflows.amends.ports.saga_store import VersionMove
from workflows.amends.values.codec import parse_json

DEAD = "executor-2"


async def register(it: Store, executor: str, types: tuple[str, ...] = (TYPE,), lease: float = 3600.0) -> None:
    await it.sagas.register_executor(executor, "here", 1, 0.5, types, lease)


async def started_by(it: Store, id: str, executor: str) -> Running:
    """A saga that an executor runs from its start."""
    await it.sagas.start(starts(id, executor=executor, owner="mine"))
    return Running(it, id, "mine")


class ExecutorContract:
    """Executors, and what becomes of the sagas of one that ends."""

    async def test_a_saga_that_no_executor_has_code_for_is_named(self, it: Store) -> None:
        await it.sagas.end_executors([EXECUTOR], "test", False)
        await register(it, "old", ("place-order:2",))
        await it.sagas.start(starts("s-1"))
        assert await it.sagas.queued_without_code() == [("s-1", "place-order", 1)]
        await register(it, "new")
        assert await it.sagas.queued_without_code() == []

    async def test_who_is_not_alive_claims_nothing(self, it: Store) -> None:
        await it.sagas.start(starts("s-1"))
        await register(it, DEAD)
        await it.sagas.end_executors([DEAD], "test", True)
        await register(it, "late", lease=-1.0)
        assert [await it.sagas.claim(each, "o", [TYPE], 10) for each in (DEAD, "late", "nobody")] == [[], [], []]
        others = await it.sagas.other_executors(EXECUTOR)
        assert others == [OtherExecutor("late", "here", 1, 0.5, True)]

    async def test_what_a_dead_executor_ran_is_queued_once_and_not_its_own_any_more(self, it: Store) -> None:
        await register(it, DEAD)
        saga = await started_by(it, "s-1", DEAD)
        assert [await it.sagas.end_executors([DEAD], EXECUTOR, True) for _ in range(2)] == [1, 0]
        with pytest.raises(Fenced):
            await saga.commit(completed("charge", 1))
        assert await saga.claimed_again()
        assert (await saga.stored()).recovered

    async def test_a_start_for_an_executor_that_had_been_ended_is_queued_again(self, it: Store) -> None:
        await register(it, DEAD)
        await it.sagas.end_executors([DEAD], EXECUTOR, True)
        saga = await started_by(it, "s-1", DEAD)
        assert not await saga.claimed_again()
        assert [await it.sagas.release_orphans() for _ in range(2)] == [1, 0]
        assert await saga.claimed_again()

    async def test_an_executor_hands_over_what_it_does_not_run_any_more(self, it: Store) -> None:
        kept, given = await started_by(it, "s-1", EXECUTOR), await started_by(it, "s-2", EXECUTOR)
        assert await it.sagas.hand_over(EXECUTOR, ["s-1"]) == 1
        assert await given.claimed_again()
        assert await kept.commit(completed("charge", 1))

    async def test_a_saga_is_released_by_who_owns_it(self, it: Store) -> None:
        saga = await started_by(it, "s-1", EXECUTOR)
        for executor, owner in ((DEAD, "mine"), (EXECUTOR, "another")):
            await it.sagas.release("s-1", executor, owner)
        assert not await saga.claimed_again()
        await it.sagas.release("s-1", EXECUTOR, "mine")
        assert await saga.claimed_again()

    async def test_an_executor_is_told_of_the_cancels_of_what_it_runs(self, it: Store) -> None:
        saga = await started_by(it, "s-1", EXECUTOR)
        await it.sagas.cancel("s-1", (), "no", one("s-1", CancelRequested("no")), None)
        assert await it.sagas.cancel_requests(EXECUTOR) == [("s-1", "no")]
        assert await it.sagas.cancel_requests(DEAD) == []
        await saga.compensate("no", error=None)
        assert await it.sagas.cancel_requests(EXECUTOR) == []

    async def test_sagas_of_an_executor_that_nobody_knows_are_queued(self, it: Store) -> None:
        saga, parked = await started_by(it, "s-1", "lost"), await started(it, "s-2")
        await parked.suspend("waiting", waiting_for="paid")
        running = await started(it, "s-3")
        assert await it.sagas.release_orphans() == 1
        assert await saga.claimed_again("a new owner")
        assert (await parked.status(), await running.status()) == ("waiting", "running")
        assert await it.sagas.release_orphans() == 0


class QueueContract:
    """Sagas that nobody runs."""

    async def test_sagas_whose_time_has_come_are_queued(self, it: Store) -> None:
        ids = ("s-1", "s-2", "s-3")
        sagas = [await started(it, id) for id in ids]
        for saga, due in zip(sagas, (AT, AT - timedelta(1), AT + timedelta(days=100_000)), strict=True):
            await saga.suspend("waiting", waiting_for="timer", due_at=due)
        assert [await it.sagas.enqueue_due(1) for _ in range(3)] == [1, 1, 0]
        assert [await saga.claimed_again(f"owner {saga.id}") for saga in (sagas[2], sagas[0])] == [False, False]
        assert [await saga.status() for saga in sagas] == ["running", "running", "waiting"]

    async def test_sagas_that_wait_for_a_provider_are_taken_by_who_asks_for_it(self, it: Store) -> None:
        for id in ("s-1", "s-2", "s-3"):
            await (await started(it, id)).suspend("running", provider="stock", provider_since=AT)
        assert [(each.provider, each.waits) for each in await it.sagas.awaited_providers(EXECUTOR)] == [("stock", True)]
        given = ("o", "stock", [TYPE])
        assert await it.sagas.claim_waiting_for_provider(EXECUTOR, *given, 10, 60.0) == [], "they have just asked"
        assert await it.sagas.claim_waiting_for_provider(EXECUTOR, "o", "payments", [TYPE], 10, 0.0) == []
        assert await it.sagas.claim_waiting_for_provider(DEAD, *given, 10, 0.0) == []
        taken = [await it.sagas.claim_waiting_for_provider(EXECUTOR, *given, 2, 0.0) for _ in range(3)]
        assert [len(each) for each in taken] == [2, 1, 0]

    async def test_an_incompatible_saga_is_tried_again_by_who_has_code_for_it(self, it: Store) -> None:
        saga = await started(it, "s-1")
        await saga.suspend("stranded", SagaIncompatible("no code"), reason="no code")
        assert not await saga.claimed_again(), "it is in no queue"
        assert await it.sagas.claim_incompatible(EXECUTOR, "o", ["place-order:2"], 10, []) == [], "it has other code"
        assert await it.sagas.claim_incompatible(EXECUTOR, "o", [TYPE], 10, ["s-0", "s-1"]) == [], "it was tried"
        assert await it.sagas.claim_incompatible(DEAD, "o", [TYPE], 10, []) == []
        (taken,) = await it.sagas.claim_incompatible(EXECUTOR, "o", [TYPE], 10, ["s-0"])
        assert taken.id == "s-1"
        assert await saga.status() == "stranded", "until it goes on"
        assert await it.sagas.claim_incompatible(EXECUTOR, "o", [TYPE], 10, []) == [], "it runs"

    async def test_a_saga_that_nobody_has_code_for_is_found_by_who_has_it_later(self, it: Store) -> None:
        saga, change = await started(it, "s-1"), StatusChange("stranded", "no code")
        await saga.suspend("running", provider="stock", provider_since=AT)
        told = one("s-1", SagaIncompatible("no code"))
        assert not await it.sagas.append_to_unowned("s-1", told, change, ["completed"])
        assert await saga.status() == "running", "somebody has code for it by now"
        await it.sagas.end_executors([EXECUTOR], DEAD, True)
        assert await it.sagas.append_to_unowned("s-1", told, change, ["completed"])
        assert await saga.status() == "stranded"
        await register(it, "new")
        found = [each.id for each in await it.sagas.claim("new", "me", [TYPE], 10)]
        assert found == ["s-1"], "without being looked for at a start"

    async def test_what_is_noted_of_a_saga_is_noted_once(self, it: Store) -> None:
        saga, change = await started(it, "s-1"), StatusChange("abandoned", "DBOS says so")
        await it.sagas.append_to_unowned("s-1", one("s-1", SagaTerminated("x")), change, ["running"])
        assert await saga.status() == "running"
        for first in (True, False):
            told = one("s-1", SagaTerminated("x"))
            assert await it.sagas.append_to_unowned("s-1", told, change, ["completed"]) == first
        assert (await saga.status(), len(await saga.history())) == ("abandoned", 2)

    async def test_a_saga_that_an_operator_resumes_waits_for_nothing_any_more(self, it: Store) -> None:
        saga = await started(it, "s-1")
        await saga.commit(SagaCompensating("no"), change=StatusChange("compensating", "no"))
        await saga.suspend("compensating", waiting_for="paid")
        await it.sagas.append_to_unowned("s-1", one("s-1", SagaTerminated("x")), StatusChange("abandoned", "x"), [])
        acted = one("s-1", OperatorActed("retry", "now", 3, "charge"))
        await it.sagas.apply_operator_action("s-1", None, ["abandoned"], acted, "compensating", None)
        assert await saga.claimed_again()
        await it.sagas.signal("s-1", "paid", signal("s-1"), None)
        assert await saga.commit(completed("charge", 1)), "nobody else was let run it"

    async def test_nobody_resumes_a_saga_that_is_not_there(self, it: Store) -> None:
        acted = one("s-1", OperatorActed("retry", "now", 3, "charge"))
        with pytest.raises(NotFound):
            await it.sagas.apply_operator_action("s-1", None, ["stuck"], acted, "running", None)

    async def test_a_suspension_may_settle_and_change_nothing_else(self, it: Store) -> None:
        saga = await started(it, "s-1")
        await it.sagas.commit("s-1", "me", StepCommit([], suspend=True, settled=True))
        acted = one("s-1", OperatorActed("retry", "now", 3, "charge"))
        await it.sagas.apply_operator_action("s-1", None, ["running"], acted, "running", None)
        assert await saga.claimed_again()
        assert not (await saga.stored()).recovered

    async def test_a_signal_and_a_cancel_whose_answers_were_lost_stand_once(self, it: Store) -> None:
        saga = await started(it, "s-1")
        told, wish = of("s-1", CancelRequested("no"), CancelRequested("no"))
        cursors = [await it.sagas.signal("s-1", "paid", told, None) for _ in range(2)]
        again = [await it.sagas.cancel("s-1", [], "why", wish, None) for _ in range(2)]
        assert cursors[0] == cursors[1]
        assert again[0] == again[1]
        assert len(await saga.history()) == 3

    async def test_what_is_told_of_a_saga_belongs_to_its_history(self, it: Store) -> None:
        await started(it, "s-1")
        await it.sagas.signal("s-1", "paid", signal("s-1"), None)
        (_, told) = await it.events.read(saga_histories.stream("s-1"))
        assert (told.metadata["correlation_id"], told.metadata["workflow_id"]) == ("s-1", "s-1")


class MigrationContract:
    """What it takes to let a saga go on with another version of its code."""

    async def moved(self, it: Store, saga: Running, answer: StoredAnswer | None = None, **other: Any) -> Any:
        at = len(await saga.history())
        move = replace(VersionMove(saga.id, 1, 2, at), **other)
        return await it.sagas.migrate(move, one(saga.id, SagaMigrated(1, 2, "why")), answer)

    async def test_a_saga_that_waits_is_queued_for_whoever_has_the_version(self, it: Store) -> None:
        saga = await started(it, "s-1", inputs='{"positionalArgs": [1e2], "namedArgs": {"root": "s-1", "version": 1}}')
        await saga.wait()
        assert isinstance(await self.moved(it, saga), FeedCursor)
        assert await saga.status() == "running"
        assert not await saga.claimed_again()
        (claimed,) = await it.sagas.claim(EXECUTOR, "another", ["place-order:2"], 10)
        saga.owner = "another"
        inputs = parse_json(claimed.inputs)
        assert inputs == {"positionalArgs": [100.0], "namedArgs": {"root": "s-1", "version": 2}}
        assert isinstance(inputs["positionalArgs"][0], float)
        assert [type(event) for event in (await saga.history())[1:]] == [SagaWaiting, SagaMigrated]
        assert not (await saga.stored()).recovered

    async def test_one_that_was_never_run_is_queued_as_before(self, it: Store) -> None:
        await it.sagas.start(starts("s-1"))
        assert isinstance(await self.moved(it, Running(it, "s-1")), FeedCursor)
        assert await Running(it, "s-1").status() == "queued"
        assert [each.id for each in await it.sagas.claim(EXECUTOR, "me", ["place-order:2"], 10)] == ["s-1"]

    async def test_one_that_is_incompatible_goes_on(self, it: Store) -> None:
        await it.sagas.start(starts("s-1"))
        event, change = one("s-1", SagaIncompatible("no code")), StatusChange("stranded", "no code")
        await it.sagas.end_executors([EXECUTOR], "another", died=True)
        await it.sagas.append_to_unowned("s-1", event, change, ["completed"])
        assert isinstance(await self.moved(it, Running(it, "s-1")), FeedCursor)
        assert await Running(it, "s-1").status() == "running"

    async def test_nobody_moves_what_somebody_runs_or_left_in_the_middle(self, it: Store) -> None:
        saga = await started(it, "s-1")
        assert await self.moved(it, saga) == "executing"
        await it.sagas.release("s-1", EXECUTOR, "me")
        assert await self.moved(it, saga) == "unsettled"
        assert await saga.claimed_again()
        await saga.suspend("running", provider="stock", provider_since=AT, due_at=None, settled=True)
        assert await self.moved(it, saga) == "unsettled"

    @pytest.mark.parametrize("status", ["stuck", "completed", "compensated"])
    async def test_there_is_nothing_to_move_of_others(self, it: Store, status: str) -> None:
        saga = await started(it, "s-1")
        match status:
            case "stuck":
                await saga.stuck()
            case "completed":
                await saga.complete()
            case _:
                await saga.compensate("no", None)
        assert await self.moved(it, saga) == status

    async def test_what_was_judged_of_another_history_or_version_is_stale(self, it: Store) -> None:
        saga = await started(it, "s-1")
        await saga.wait()
        with pytest.raises(StaleVersion):
            await self.moved(it, saga, from_version=2, to_version=1)
        with pytest.raises(StaleVersion):
            await self.moved(it, saga, at=1)
        with pytest.raises(NotFound):
            await self.moved(it, saga, id="s-2")
        assert await saga.status() == "waiting"

    async def test_a_request_that_is_repeated_moves_nothing_again(self, it: Store) -> None:
        saga = await started(it, "s-1")
        await saga.wait()
        answer = StoredAnswer("key-1", "digest-1", {"said": "once"})
        assert isinstance(await self.moved(it, saga, answer), FeedCursor)
        assert isinstance(await self.moved(it, saga, answer), RepeatedRequest)
        assert len(await saga.history()) == 3
