"""The execution log of a dry run: a replay that goes on past the compensations that would be made, as if each did."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from domain.amends.aggregate import Aggregate
from domain.amends.event import event_type
from workflows.amends.call import SentCalls
from workflows.amends.compatibility.replay_log import CodeAtHand, ReplayEnded, ReplayLog
from workflows.amends.engine.history_writer import TURN_BACK
from workflows.amends.engine.user_code.user_code import CodeRaised, CodeReturned, UserCode
from workflows.amends.history import ChildStarted, SignalReceived, StepCompensated, saga_histories
from workflows.amends.history.replay_state import ReplayFold, ReplayState
from workflows.amends.ports.event_store import NewEvent, load_event, new_amends_event
from workflows.amends.ports.execution_log import (
    Committed,
    StatusChange,
    StepCommit,
    StepTransaction,
    StreamMoved,
    TransactionInterrupted,
)
from workflows.amends.ports.recordings import Recording
from workflows.amends.values.codec import load
from workflows.amends.values.limits import Limits

T = TypeVar("T")
S = TypeVar("S")
E = TypeVar("E")


class DryRunLog(ReplayLog):
    """Answers commits, and notes what they say would happen; nothing is written.

    `compensated` are the compensations that would be made, in their order, `begun` the names of the steps whose code
    would be run next, `started` the children that would be started, and `recalled` the ids of those whose compensation
    would be asked for. `change` is the last status.
    """

    def __init__(self, recording: Recording, code: CodeAtHand) -> None:
        super().__init__(recording, code)
        self.compensated: list[StepCompensated] = []
        self.begun: list[str] = []
        self.started: list[ChildStarted] = []
        self.recalled: set[str] = set()
        self.change: StatusChange | None = None
        self._current, self._ahead = self.replay, timedelta()
        self._compensating = any(each.name == TURN_BACK for each in self.replay.checkpoints.values())

    def now(self) -> datetime:
        """The time of the store, or the one up to which was waited."""
        return super().now() + self._ahead

    async def wait_for_lease(self) -> None:  # type: ignore[override]
        """Nothing is called, and so nothing is waited for."""

    async def wait_until(self, until: datetime) -> None:  # type: ignore[override]
        """It is that time now."""
        self._ahead += max(until - self.now(), timedelta())

    async def reload_replay_state(self) -> ReplayState:
        return self._current

    async def commit(self, step_commit: StepCommit) -> Committed | StreamMoved:
        """Answer as if it was written; a child that is to be compensated has said by then that it is."""
        change = step_commit.change
        if change is not None:
            self.change = change
        if step_commit.checkpoint is not None and step_commit.checkpoint.name == TURN_BACK:
            self._compensating = True
        self.compensated += _told(step_commit, StepCompensated)
        self.started += _told(step_commit, ChildStarted)
        if step_commit.recall is not None:
            self.recalled.add(step_commit.recall.saga)
        waits_for_child = step_commit.suspend and change is not None and change.waiting_for is not None
        if waits_for_child and (step_commit.recall is not None or self._compensating):
            return self._after_child(step_commit, str(change and change.waiting_for))
        return await super().commit(step_commit)

    def _after_child(self, step_commit: StepCommit, signal: str) -> StreamMoved:
        """The commit stands, and the child has told after it that it is compensated: the engine reads that."""
        before, own = self._current, saga_histories.stream(self.identity.id)
        told = new_amends_event(
            own, SignalReceived(signal, {"status": "compensated", "reason": "", "error": None}), self.identity.cause
        )
        self._current = with_events(before, [*(each for each in step_commit.events if each.stream == own), told])
        return StreamMoved(own, before.version, self._current.version)

    def transaction(self) -> AbstractAsyncContextManager[StepTransaction]:
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[StepTransaction]:
        yield _NoTransaction(self)

    def answer_code(self, name: str) -> CodeReturned[None]:
        """What comes of code that would be run: a compensation does its work, and of a step nobody knows what comes."""
        if self._compensating:
            return CodeReturned(None)
        self.begun.append(name)
        raise ReplayEnded


class CodeNotRun(UserCode):
    """The code of steps and compensations of one saga, none of which is run: its log is asked what comes of it."""

    def __init__(
        self, log: DryRunLog, saga: str, saga_type: str, limits: Limits, noted: Callable[[BaseException], None]
    ) -> None:
        super().__init__(saga, saga_type, limits, noted)
        self._log = log

    async def run(
        self,
        step: str,
        seconds: float,
        body: Callable[[], Coroutine[Any, Any, T]],
        now: datetime,
        may_call: Callable[[str | None], Awaitable[None]] | None = None,
        outbound: SentCalls | None = None,
    ) -> CodeReturned[T] | CodeRaised:
        answer: CodeReturned[Any] = self._log.answer_code(step)
        return answer


class _NoTransaction:
    """A transaction in which nothing is read and nothing written."""

    def __init__(self, log: DryRunLog) -> None:
        self._log = log

    @property
    def interrupted(self) -> TransactionInterrupted | None:
        return None

    async def load(self, aggregate: Aggregate[S, E], key: str) -> tuple[S, int]:
        raise ReplayEnded

    async def execute(self, sql: str, parameters: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        raise ReplayEnded

    async def commit(self, step_commit: StepCommit) -> Committed | StreamMoved:
        return await self._log.commit(step_commit)


def _told(step_commit: StepCommit, kind: type[T]) -> list[T]:
    """The events of a kind in a commit."""
    name = event_type(kind).name
    return [load(each.data, kind) for each in step_commit.events if each.type.name == name]


def with_events(replay: ReplayState, events: Sequence[NewEvent]) -> ReplayState:
    """What would be recorded of a saga with these events at the end of its history; all else stays as it is."""
    fold = ReplayFold.of(replay)
    fold.add_events((each.id, load_event(saga_histories.vocabulary, each.type, each.data)) for each in events)
    state = fold.state(
        replay.status, 0, replay.deadline_at, replay.started_at, recovered=replay.recovered, provider=replay.provider
    )
    return state if state.blocks < replay.blocks else replace(state, exhausted=replay.exhausted)
