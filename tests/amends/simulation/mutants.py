"""The engine and its store, each with one thing wrong: what simulated histories must find."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from copy import deepcopy
from typing import Any, Final

import pytest

from workflows.amends.brakes.brake import Brake
from workflows.amends.brakes.in_force import BrakesInForce
from workflows.amends.engine.compensation import _Undoing
from workflows.amends.engine.history_writer import HistoryWriter
from workflows.amends.engine.run_driver import RunDriver, _how, _worst
from workflows.amends.engine.step_runner import StepRunner
from workflows.amends.engine.steps.step_execution import StepExecution
from workflows.amends.engine.user_code.user_code import CodeReturned
from workflows.amends.engine.waits import SignalsAndTimers
from workflows.amends.history import Status
from workflows.amends.history.replay_state import ReplayState
from workflows.amends.ports.event_store import FeedCursor, NewEvent, RepeatedRequest, StoredAnswer
from workflows.amends.ports.execution_log import Committed, StepCommit, StreamMoved
from workflows.amends.ports.saga_store import ClaimedSaga
from workflows.amends.simulation.memory.rows import MemorySagaRow
from workflows.amends.simulation.memory.sagas import MemorySagas
from workflows.amends.step import StepCall

Patch = Callable[[pytest.MonkeyPatch], None]


def commits_without_looking(patched: pytest.MonkeyPatch) -> None:
    """A saga suspends, or completes, whatever it was told since it has looked: a wake-up is lost."""

    async def write(self: HistoryWriter, decide: Callable[[], Awaitable[StepCommit | None]]) -> StepCommit | None:
        if step_commit := await decide():
            await self.write(step_commit)
        return step_commit

    patched.setattr(HistoryWriter, "write_current", write)


def turns_back_at_once(patched: pytest.MonkeyPatch) -> None:
    """The first of several steps that fails turns the saga back, while the others are under way."""

    async def gather(self: RunDriver, calls: Sequence[StepCall[Any]]) -> tuple[Any, ...]:
        branches = [asyncio.ensure_future(_how(self._perform(self._begin(call)))) for call in calls]
        left = set(branches)
        while left:
            ended, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            if worst := _worst(branch.result() for branch in branches if branch in ended):
                raise worst
        return tuple(how.value for branch in branches if isinstance(how := branch.result(), CodeReturned))

    patched.setattr(RunDriver, "_gather", gather)


def compensates_on_paper(patched: pytest.MonkeyPatch) -> None:
    """A compensation is recorded, and carried out afterwards."""
    call = _Undoing._call

    async def first_recorded(self: _Undoing) -> None:
        await self.history.write(self._entry(self._told(1), None))
        vars(self.history)["write"] = _nothing
        try:
            await call(self)
        finally:
            del vars(self.history)["write"]

    patched.setattr(_Undoing, "_call", first_recorded)


def receives_again(patched: pytest.MonkeyPatch) -> None:
    """A signal that was received is received again by the next wait."""

    def newest(self: SignalsAndTimers, signal: str | None) -> tuple[Any] | None:
        received = self._history.current.signals.get(signal or "", ())
        return (received[0],) if received else None

    patched.setattr(SignalsAndTimers, "_next", newest)


def reads_brakes_once(patched: pytest.MonkeyPatch) -> None:
    """What a process has read of brakes when it started is believed for ever."""
    refresh = BrakesInForce.refresh

    async def once(self: BrakesInForce) -> None:
        if self._read_at is None:
            await refresh(self)

    patched.setattr(BrakesInForce, "refresh", once)
    patched.setattr(BrakesInForce, "are_fresh", property(lambda self: self._read_at is not None))


def holds_no_transactions(patched: pytest.MonkeyPatch) -> None:
    """A brake holds calls alone."""

    async def nothing(self: StepRunner, step_execution: StepExecution) -> None:
        """It is not looked at."""

    patched.setattr(StepRunner, "await_brakes", nothing)


async def _nothing(_: StepCommit) -> None:
    """Nothing is recorded."""


OF_THE_ENGINE: Final[tuple[Patch, ...]] = (
    commits_without_looking,
    turns_back_at_once,
    compensates_on_paper,
    receives_again,
    reads_brakes_once,
    holds_no_transactions,
)


class NoFence(MemorySagas):
    """A fence is left out: a commit is accepted whoever owns the saga."""

    def write(self, id: str, owner: str, step_commit: StepCommit) -> Committed | StreamMoved:
        workflow = self.workflows[id]
        workflow.owner, known = owner, workflow.owner
        written = super().write(id, owner, step_commit)
        if not step_commit.suspend:
            workflow.owner = known
        return written


class NoWakeUp(MemorySagas):
    """A wake-up is lost: a saga that waits for a signal is not queued when that comes."""

    def write_signal(self, row: MemorySagaRow, signal: str, event: NewEvent) -> FeedCursor:
        return self.events.insert([self.new_saga_event(row, event)])


class LosesCommit(MemorySagas):
    """A takeover loses a commit in flight: who goes on has read the record before its last commit had landed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._earlier: dict[str, ReplayState] = {}
        self._taken_over: set[str] = set()

    def write(self, id: str, owner: str, step_commit: StepCommit) -> Committed | StreamMoved:
        if step_commit.checkpoint:
            self._earlier[id] = deepcopy(self.replay_state(id))
        return super().write(id, owner, step_commit)

    async def end_executors(self, executors: Sequence[str], by: str, died: bool, patience: float | None = None) -> int:
        self._taken_over |= {each.id for each in self._run_by(executors)} if died else set()
        return await super().end_executors(executors, by, died, patience)

    async def load_replay_state(self, id: str) -> ReplayState | None:
        if id in self._taken_over and id in self._earlier:
            self._taken_over.discard(id)
            return self._earlier[id]
        return await super().load_replay_state(id)


class ParksForEver(MemorySagas):
    """A saga that comes to a brake which was lifted meanwhile waits there all the same, and nobody looks for it."""

    def is_in_force(self, brake: str) -> bool:
        return brake in self.brake_rows

    def brakes_in_force(self) -> list[Brake]:
        return [brake for brake in super().brakes_in_force() if brake.id not in self.lifted]


class CountsTwice(MemorySagas):
    """A signal is counted twice that is sent twice under one key."""

    async def signal(
        self, id: str, signal: str, event: NewEvent, answer: StoredAnswer | None
    ) -> FeedCursor | Status | RepeatedRequest:
        return await super().signal(id, signal, event, None)


class ForgetsDoubt(MemorySagas):
    """Who goes on after a crash is not told that a step may have taken effect without a record."""

    def assign_to_executor(self, row: MemorySagaRow, executor: str, owner: str) -> ClaimedSaga:
        taken = super().assign_to_executor(row, executor, owner)
        row.was_settled = True
        return taken


OF_THE_STORE: Final[tuple[type[MemorySagas], ...]] = (
    NoFence,
    NoWakeUp,
    LosesCommit,
    CountsTwice,
    ForgetsDoubt,
    ParksForEver,
)

OF_BRAKES: Final = (reads_brakes_once, holds_no_transactions, ParksForEver)
"""Those of both that only histories with brakes can find."""
