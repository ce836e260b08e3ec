"""Suspends a saga until an operator acts, a provider is back, or code is back that fits what is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, NoReturn

from workflows.amends.causes.failure_cause import braked_cause, suspension_cause, waiting_cause
from workflows.amends.engine.history_writer import HistoryWriter
from workflows.amends.engine.steps.recorded_arguments import are_recorded
from workflows.amends.engine.suspension_log import log_suspended
from workflows.amends.history import SagaIncompatible, SagaStuck, SagaTerminated, Status
from workflows.amends.history.replay_state import ActionTaken, Checkpoint, ProviderWait
from workflows.amends.ports.execution_log import StatusChange, StepCommit, Suspended
from workflows.amends.step import StepCall

_STATUSES: Final[dict[type[object], Status]] = {
    SagaStuck: "stuck",
    SagaIncompatible: "stranded",
    SagaTerminated: "abandoned",
}


def _nothing() -> None:
    """No compensation comes instead of the suspension."""


def suspended_status(saga_type: str, told: SagaStuck | SagaIncompatible | SagaTerminated) -> StatusChange:
    """The status of a saga that an event suspends until an operator acts, with the cause of that."""
    return StatusChange(_STATUSES[type(told)], told.reason, cause=suspension_cause(saga_type, told))


class SuspendRequest(BaseException):
    """One of several branches wants the saga suspended; it is once the others have settled.

    `instead` raises CompensationStart if the saga is compensated instead: somebody may have asked for that meanwhile.
    """

    def __init__(
        self, told: tuple[object, ...], change: StatusChange, instead: Callable[[], None], settled: bool = False
    ) -> None:
        self.told, self.change, self.instead, self.settled = told, change, instead, settled


class Suspension:
    """Suspends one saga, and knows what operators decided about it."""

    def __init__(self, history: HistoryWriter, saga_type: str) -> None:
        self._history, self._saga_type = history, saga_type
        self._replay = history.execution_log.replay
        self._later = False

    @property
    def is_deferred(self) -> bool:
        """Whether a branch that wants the saga suspended has to wait for the others."""
        return self._later

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, a branch that wants the saga suspended raises SuspendRequest: a suspended saga has no owner, and
        branches need one."""
        self._later = True
        try:
            yield
        finally:
            self._later = False

    def operator_action(self, step_id: int, step: str | None) -> ActionTaken | None:
        """What an operator decided last about this step, None if nothing; `step` is None for the code between steps."""
        act = self._replay.actions.get(step_id)
        return act if act and act.step == step else None

    async def suspend_stuck(
        self, told: SagaStuck, instead: Callable[[], None] = _nothing, settled: bool = False
    ) -> NoReturn:
        """Suspend for an operator, unless `instead` raises CompensationStart; `settled` as for a StepCommit."""
        await self._suspend(SuspendRequest((told,), suspended_status(self._saga_type, told), instead, settled))

    async def await_provider(
        self,
        step: str,
        told: object | None,
        wait: ProviderWait,
        until: datetime,
        instead: Callable[[], None] = _nothing,
    ) -> NoReturn:
        """Suspend a step, or a compensation, for a provider, unless `instead` raises CompensationStart; `told` is the
        event of that, if it is not recorded yet."""
        going = self._history.active_status().status
        cause = waiting_cause(self._saga_type, step, wait.provider)
        change = StatusChange(going, None, None, until, wait.provider, wait.since, cause)
        await self._suspend(SuspendRequest((told,) if told else (), change, instead, settled=True))

    async def await_brake(
        self,
        step: str,
        told: object | None,
        wait: ProviderWait,
        until: datetime | None = None,
        instead: Callable[[], None] = _nothing,
    ) -> NoReturn:
        """Suspend a step, or a compensation, at a brake, unless `instead` raises CompensationStart; `told` is as for a
        provider."""
        going = self._history.active_status().status
        cause = braked_cause(self._saga_type, step, wait.brake)
        change = StatusChange(going, due_at=until, cause=cause, brake=wait.brake, brake_since=wait.since)
        await self._suspend(SuspendRequest((told,) if told else (), change, instead, settled=True))

    async def suspend_incompatible(self, reason: str) -> NoReturn:
        """Suspend until code is back that fits the record; what the execution before has left, or not, is as it was."""
        told, settled = SagaIncompatible(reason), not self._replay.recovered
        await self._suspend(SuspendRequest((told,), suspended_status(self._saga_type, told), _nothing, settled))

    async def matching_checkpoint(
        self, step_id: int, name: str, call: StepCall[Any] | None = None
    ) -> Checkpoint | None:
        """What an earlier execution recorded under this number; suspends the saga as incompatible if that was
        something else, also if it has only begun, or a `call` with other arguments."""
        checkpoint = self._replay.checkpoints.get(step_id)
        recorded = self._replay.begun.get(step_id, name) if checkpoint is None else checkpoint.name
        if recorded != name:
            await self.suspend_incompatible(f"step {step_id} is recorded as {recorded}, but the code here does {name}")
        if checkpoint is None:
            return None
        known = self._replay.arguments.get(step_id)
        if call is not None and known is not None and not await self.gives_recorded(call, known):
            await self.suspend_incompatible(
                f"step {step_id}, {name}, is recorded with other arguments than the code here gives it"
            )
        return checkpoint

    async def require_nothing_left(self, step_id: int, ends: str) -> None:
        """Suspend the saga as incompatible if it `ends` with this number, and steps after it are on record: nobody
        would wait for them, or undo them."""
        recorded = {**self._replay.begun, **{number: each.name for number, each in self._replay.checkpoints.items()}}
        if (last := max(recorded, default=0)) > step_id:
            await self.suspend_incompatible(
                f"step {last} is recorded as {recorded[last]}, but the code here {ends} at step {step_id}"
            )

    async def gives_recorded(self, call: StepCall[Any], recorded: str) -> bool:
        """Whether the arguments of a call are those of which `recorded` is the digest."""
        return await are_recorded(self._saga_type, call, recorded, self._history.execution_log.argument_shapes)

    async def suspend(self, wanted: SuspendRequest) -> NoReturn:
        """Suspend the saga now, knowing all that is on record. Raises Suspended."""

        async def suspend() -> StepCommit:
            wanted.instead()
            return self._history.step_commit(*wanted.told, change=wanted.change, suspend=True, settled=wanted.settled)

        await self._history.write_current(suspend)
        for each in wanted.told:
            log_suspended(self._history.execution_log.identity.id, self._saga_type, each)
        raise Suspended

    async def _suspend(self, wanted: SuspendRequest) -> NoReturn:
        if self._later:
            raise wanted
        await self.suspend(wanted)
