"""What a store keeps of which executors ran a saga, from when to when, and why each left it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise

import pytest
from sqlalchemy import URL

from app.amends.store.events.postgres_events import PostgresEvents
from tests.amends.contracts.saga_contract import EXECUTOR, TYPE, Running, Store, completed, one, signal, started, starts
from tests.amends.contracts.saga_queue_contract import DEAD, register, started_by
from tests.amends.store.harness.sagas import store
from workflows.amends.history import CancelRequested, OperatorActed, SagaCompensating, SagaTerminated
from workflows.amends.history.execution_record import MOST_EXECUTIONS, ExecutionRecord
from workflows.amends.ports.execution_log import StatusChange
from workflows.amends.simulation.memory.sagas import MemorySagas

RECORDS = "select number, executor, began_at, ended_at, ended_by from amends.executions_of(%s)"


@dataclass(frozen=True)
class Kept:
    """A store, and what it shows of the executions of a saga."""

    it: Store
    executions: Callable[[str], Awaitable[list[ExecutionRecord]]]

    async def ends(self, id: str) -> list[tuple[str, str | None]]:
        """Who ran it, and why each left it. That it makes sense is looked at each time."""
        found = await self.executions(id)
        for each in found:
            assert (each.ended_at is None) == (each.ended_by is None)
            assert each.ended_at is None or each.ended_at >= each.began_at
        for before, after in pairwise(found):
            assert after.number == before.number + 1
            assert before.ended_at is not None, "one at a time"
        return [(each.executor, each.ended_by) for each in found]


async def claimed_by(it: Store, executor: str, owner: str) -> list[str]:
    return [each.id for each in await it.sagas.claim(executor, owner, [TYPE], 10)]


class ExecutionsContract:
    async def test_a_saga_that_was_never_run_has_none(self, kept: Kept) -> None:
        await kept.it.sagas.start(starts("s-1"))
        assert await kept.ends("s-1") == []

    async def test_one_that_runs_from_its_start_is_run_by_who_started_it_until_it_is_finished(self, kept: Kept) -> None:
        saga = await started_by(kept.it, "s-1", EXECUTOR)
        assert await kept.ends("s-1") == [(EXECUTOR, None)]
        await saga.complete()
        assert await kept.ends("s-1") == [(EXECUTOR, "completed")]

    async def test_one_that_was_queued_is_run_by_who_claims_it(self, kept: Kept) -> None:
        await kept.it.sagas.start(starts("s-1"))
        assert await claimed_by(kept.it, EXECUTOR, "me") == ["s-1"]
        assert await kept.ends("s-1") == [(EXECUTOR, None)]
        await Running(kept.it, "s-1").compensate("no", None)
        assert await kept.ends("s-1") == [(EXECUTOR, "compensated")]

    @pytest.mark.parametrize(("lease", "why"), [(3600.0, "executor-gone"), (-1.0, "lease-over")])
    async def test_a_takeover_tells_why_the_executor_before_is_no_more(
        self, kept: Kept, lease: float, why: str
    ) -> None:
        await register(kept.it, DEAD, lease=lease)
        await started_by(kept.it, "s-1", DEAD)
        await kept.it.sagas.end_executors([DEAD], EXECUTOR, True)
        assert await kept.ends("s-1") == [(DEAD, why)], "also before anybody takes it over"
        await claimed_by(kept.it, EXECUTOR, "me")
        assert await kept.ends("s-1") == [(DEAD, why), (EXECUTOR, None)]

    @pytest.mark.parametrize("how", ["drained", "ended", "given back"])
    async def test_what_is_handed_over_is_left_at_that_time(self, kept: Kept, how: str) -> None:
        await register(kept.it, DEAD)
        await started_by(kept.it, "s-1", DEAD)
        match how:
            case "drained":
                await kept.it.sagas.hand_over(DEAD, [])
            case "ended":
                await kept.it.sagas.end_executors([DEAD], "itself", False)
            case _:
                await kept.it.sagas.release("s-1", DEAD, "mine")
        shown = await kept.executions("s-1")
        assert await kept.ends("s-1") == [(DEAD, "handed-over")]
        await claimed_by(kept.it, EXECUTOR, "me")
        assert await kept.ends("s-1") == [(DEAD, "handed-over"), (EXECUTOR, None)]
        assert (await kept.executions("s-1"))[:1] == shown, "and not when somebody takes it"

    async def test_sagas_of_an_executor_that_nobody_knows_are_taken_over(self, kept: Kept) -> None:
        await started_by(kept.it, "s-1", "lost")
        await kept.it.sagas.release_orphans()
        assert await kept.ends("s-1") == [("lost", "unknown-executor")]

    async def test_one_that_waits_is_run_by_nobody_until_it_goes_on(self, kept: Kept) -> None:
        saga = await started(kept.it, "s-1")
        await saga.wait()
        assert await kept.ends("s-1") == [(EXECUTOR, "waiting")]
        await kept.it.sagas.signal("s-1", "paid", signal("s-1"), None)
        assert await kept.ends("s-1") == [(EXECUTOR, "waiting")], "it was not handed over"
        assert await saga.claimed_again()
        assert await kept.ends("s-1") == [(EXECUTOR, "waiting"), (EXECUTOR, None)]

    async def test_one_that_waits_for_a_provider_is_run_by_who_asks_for_it(self, kept: Kept) -> None:
        saga = await started(kept.it, "s-1")
        await saga.suspend("running", provider="stock", provider_since=None)
        assert await kept.ends("s-1") == [(EXECUTOR, "provider")]
        await kept.it.sagas.claim_waiting_for_provider(EXECUTOR, "o", "stock", [TYPE], 10, 0.0)
        assert await kept.ends("s-1") == [(EXECUTOR, "provider"), (EXECUTOR, None)]

    async def test_one_that_is_stuck_goes_on_by_an_operator(self, kept: Kept) -> None:
        saga = await started(kept.it, "s-1")
        await saga.stuck()
        stands = await kept.it.sagas.status_details("s-1")
        acted = one("s-1", OperatorActed("retry", "mended", 3, "charge"))
        assert stands is not None
        await kept.it.sagas.apply_operator_action("s-1", stands.stuck_at, ["stuck"], acted, "running", None)
        assert await saga.claimed_again()
        assert await kept.ends("s-1") == [(EXECUTOR, "stuck"), (EXECUTOR, None)]

    async def test_one_that_is_incompatible_is_tried_again(self, kept: Kept) -> None:
        await (await started(kept.it, "s-1")).suspend("stranded", reason="no")
        await kept.it.sagas.claim_incompatible(EXECUTOR, "o", [TYPE], 10, [])
        assert await kept.ends("s-1") == [(EXECUTOR, "stranded"), (EXECUTOR, None)]

    async def test_one_that_was_terminated_is_left_with_that(self, kept: Kept) -> None:
        await started(kept.it, "s-1")
        change = StatusChange("abandoned", "x")
        assert await kept.it.sagas.append_to_unowned("s-1", one("s-1", SagaTerminated("x")), change, [])
        assert await kept.ends("s-1") == [(EXECUTOR, "terminated")]

    async def test_whoever_only_writes_down_the_outcome_of_its_workflow_has_not_run_it(self, kept: Kept) -> None:
        await register(kept.it, DEAD)
        saga = await started_by(kept.it, "s-1", DEAD)
        await saga.complete()
        await kept.it.sagas.end_executors([DEAD], EXECUTOR, True)
        assert await claimed_by(kept.it, EXECUTOR, "me") == ["s-1"]
        await kept.it.sagas.note_unclaimed_run("s-1")
        assert await kept.ends("s-1") == [(DEAD, "completed")]

    async def test_a_commit_that_goes_on_ends_no_execution(self, kept: Kept) -> None:
        saga = await started(kept.it, "s-1")
        await saga.commit(completed("charge", 1))
        await kept.it.sagas.cancel("s-1", [], "no", one("s-1", CancelRequested("no")), None)
        await saga.commit(SagaCompensating("no"), change=StatusChange("compensating", "no"))
        assert await kept.ends("s-1") == [(EXECUTOR, None)]

    async def test_what_the_runtime_begins_by_itself_is_noted_once(self, kept: Kept) -> None:
        await started(kept.it, "s-1")
        for _ in range(2):
            await kept.it.sagas.note_unclaimed_run("s-1")
        assert await kept.ends("s-1") == [(EXECUTOR, None)]

    async def test_the_newest_are_kept_and_numbered_on(self, kept: Kept) -> None:
        await started(kept.it, "s-1")
        owner = "me"
        for number in range(MOST_EXECUTIONS + 4):
            await kept.it.sagas.release("s-1", EXECUTOR, owner)
            owner = f"owner {number}"
            assert await claimed_by(kept.it, EXECUTOR, owner) == ["s-1"]
        assert await kept.ends("s-1") == [(EXECUTOR, "handed-over")] * (MOST_EXECUTIONS - 1) + [(EXECUTOR, None)]
        numbers = [each.number for each in await kept.executions("s-1")]
        assert numbers == list(range(6, MOST_EXECUTIONS + 6))


class TestInMemory(ExecutionsContract):
    @pytest.fixture
    async def kept(self) -> Kept:
        sagas = MemorySagas()
        await sagas.register_executor(EXECUTOR, "here", 1, 1.0, [TYPE], 3600.0)

        async def executions(id: str) -> list[ExecutionRecord]:
            return sagas.executions(id)

        return Kept(Store(sagas, sagas.events), executions)


class TestInPostgres(ExecutionsContract):
    @pytest.fixture
    async def kept(self, database: URL) -> AsyncIterator[Kept]:
        async with store(database) as made:
            await made.sagas.register_executor(EXECUTOR, "here", 1, 1.0, [TYPE], 3600.0)

            async def executions(id: str) -> list[ExecutionRecord]:
                return [ExecutionRecord(*row) for row in await made.reader.tuples(RECORDS, (id,))]

            yield Kept(Store(made.sagas, PostgresEvents(made.writer, made.reader)), executions)
