"""What a store keeps of why a saga is suspended or was compensated, and of who started it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import pytest
from sqlalchemy import URL

from app.amends.store.events.postgres_events import PostgresEvents
from domain.amends.event import Cause
from tests.amends.contracts.saga_contract import EXECUTOR, TYPE, Running, Store, completed, one, started, starts
from tests.amends.store.harness.sagas import store
from workflows.amends.causes.failure_cause import MOST_CAUSES, OTHER_ERRORS, FailureCause
from workflows.amends.history import (
    OperatorActed,
    SagaCompensated,
    SagaCompensating,
    SagaStarted,
    SagaTerminated,
    Status,
)
from workflows.amends.ports.execution_log import StatusChange
from workflows.amends.simulation.memory.sagas import MemorySagas

Row = dict[str, Any]
DECLINED = FailureCause("compensating", "place-order", 1, error="card-declined")
COLUMNS = "select cause, compensation_cause, actor from amends.sagas where id = %s"
CAUSES = "select kind, name, version, step, provider, error from amends.causes where id = %s"


@dataclass(frozen=True)
class Kept:
    """A store, and a look at what it keeps: the columns of a saga, and a cause by its id."""

    it: Store
    row: Callable[[str], Awaitable[Row]]
    cause: Callable[[str], Awaitable[FailureCause | None]]


def stuck(error: str | None = "TimeoutError", step: str = "charge") -> FailureCause:
    return FailureCause("stuck", "place-order", 1, step, None, error)


async def suspend(saga: Running, status: Status, cause: FailureCause | None) -> None:
    await saga.suspend(status, completed("x", 1), reason="why", cause=cause)


class CauseContract:
    async def test_a_stuck_saga_has_its_cause_until_it_goes_on(self, kept: Kept) -> None:
        cause = stuck()
        await (await started(kept.it, "s-1")).stuck(cause=cause)
        assert (await kept.row("s-1"))["cause"] == cause.id
        assert await kept.cause(cause.id) == cause
        stands = await kept.it.sagas.status_details("s-1")
        acted = one("s-1", OperatorActed("retry", "mended", 3, "charge"))
        assert stands is not None
        await kept.it.sagas.apply_operator_action("s-1", stands.stuck_at, ["stuck"], acted, "running", None)
        assert (await kept.row("s-1"))["cause"] is None
        assert await kept.cause(cause.id) == cause

    async def test_one_that_waits_for_a_provider_has_its_cause_until_another_commit_says_how_it_stands(
        self, kept: Kept
    ) -> None:
        saga, cause = await started(kept.it, "s-1"), FailureCause("provider", "place-order", 1, "hold", "stock")
        await saga.commit(completed("x", 1), change=StatusChange("running", provider="stock", cause=cause))
        assert (await kept.row("s-1"))["cause"] == cause.id
        await saga.commit(completed("y", 2), change=StatusChange("running"))
        assert (await kept.row("s-1"))["cause"] is None

    async def test_why_it_was_compensated_stays(self, kept: Kept) -> None:
        saga = await started(kept.it, "s-1")
        await saga.commit(SagaCompensating("no"), change=StatusChange("compensating", "no", cause=DECLINED))
        await saga.commit(SagaCompensated("no"), change=StatusChange("compensated", "no"))
        row = await kept.row("s-1")
        assert (row["cause"], row["compensation_cause"]) == (None, DECLINED.id)

    async def test_a_compensation_that_is_stuck_has_both(self, kept: Kept) -> None:
        saga, cause = await started(kept.it, "s-1"), stuck(step="refund")
        await saga.commit(SagaCompensating("no"), change=StatusChange("compensating", "no", cause=DECLINED))
        await suspend(saga, "stuck", cause)
        row = await kept.row("s-1")
        assert (row["cause"], row["compensation_cause"]) == (cause.id, DECLINED.id)

    @pytest.mark.parametrize("status", ["stuck", "stranded", "abandoned"])
    async def test_a_server_that_tells_no_cause_leaves_one_that_says_how_it_stands(
        self, kept: Kept, status: Any
    ) -> None:
        plain = FailureCause(status, "place-order", 1)
        await suspend(await started(kept.it, "s-1"), status, None)
        assert (await kept.row("s-1"))["cause"] == plain.id
        assert await kept.cause(plain.id) == plain

    async def test_what_is_told_of_a_saga_that_nobody_runs_has_a_cause_too(self, kept: Kept) -> None:
        await kept.it.sagas.start(starts("s-1"))
        cause = FailureCause("abandoned", "place-order", 1, error="the workflow was ended outside Amends")
        told, change = one("s-1", SagaTerminated("x")), StatusChange("abandoned", "x", cause=cause)
        assert await kept.it.sagas.append_to_unowned("s-1", told, change, [])
        assert (await kept.row("s-1"))["cause"] == cause.id
        assert await Running(kept.it, "s-1").history() == [SagaStarted(*NAMED, "4711", "s-1", {}), SagaTerminated("x")]

    async def test_a_step_has_so_many_causes_at_most(self, kept: Kept) -> None:
        saga, steps = await started(kept.it, "s-1"), count()

        async def noted(cause: FailureCause) -> Any:
            await saga.commit(completed("x", next(steps)), change=StatusChange("running", cause=cause))
            return (await kept.row("s-1"))["cause"]

        known = [stuck(f"error {number}") for number in range(MOST_CAUSES)]
        assert [await noted(cause) for cause in known] == [cause.id for cause in known]
        assert await noted(stuck("one more")) == stuck(OTHER_ERRORS).id
        assert await kept.cause(stuck("one more").id) is None
        assert await noted(stuck("another")) == stuck(OTHER_ERRORS).id
        assert await noted(known[7]) == known[7].id
        assert await noted(stuck("one more", "ship")) == stuck("one more", "ship").id
        assert await noted(replace(DECLINED, kind="stranded")) == replace(DECLINED, kind="stranded").id

    async def test_who_started_it_stays(self, kept: Kept) -> None:
        start = starts("s-1")
        await kept.it.sagas.start(replace(start, event=replace(start.event, cause=Cause(actor="ada"))))
        assert (await kept.row("s-1"))["actor"] == "ada"
        await suspend(await running(kept.it), "stranded", None)
        assert (await kept.row("s-1"))["actor"] == "ada"


NAMED = ("place-order", 1)


async def running(it: Store) -> Running:
    saga = Running(it, "s-1")
    assert await saga.claimed_again()
    return saga


class TestInMemory(CauseContract):
    @pytest.fixture
    async def kept(self) -> Kept:
        sagas = MemorySagas()
        await sagas.register_executor(EXECUTOR, "here", 1, 1.0, [TYPE], 3600.0)

        async def row(id: str) -> Row:
            return {name: vars(sagas.rows[id])[name] for name in ("cause", "compensation_cause", "actor")}

        async def cause(id: str) -> FailureCause | None:
            noted = sagas.causes.get(id)
            return noted.cause if noted else None

        return Kept(Store(sagas, sagas.events), row, cause)


class TestInPostgres(CauseContract):
    @pytest.fixture
    async def kept(self, database: URL) -> AsyncIterator[Kept]:
        async with store(database) as made:
            await made.sagas.register_executor(EXECUTOR, "here", 1, 1.0, [TYPE], 3600.0)

            async def row(id: str) -> Row:
                return await made.reader.row(COLUMNS, (id,)) or {}

            async def cause(id: str) -> FailureCause | None:
                found = await made.reader.row(CAUSES, (id,))
                return FailureCause(**found) if found else None

            yield Kept(Store(made.sagas, PostgresEvents(made.writer, made.reader)), row, cause)
