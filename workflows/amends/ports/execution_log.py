"""What the engine needs of the store: the words that the two speak with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar
from uuid import UUID

from pydantic import JsonValue

from domain.amends.aggregate import Aggregate
from domain.amends.errors import AmendsError
from domain.amends.event import Cause
from workflows.amends.brakes.brake import Brake, BrakePoint
from workflows.amends.causes.failure_cause import FailureCause
from workflows.amends.history import Problem, Status
from workflows.amends.history.replay_state import Checkpoint, ReplayState
from workflows.amends.ports.event_store import NewEvent
from workflows.amends.redaction.shapes import Shape
from workflows.amends.values.codec import dump
from workflows.amends.values.limits import Limits
from workflows.amends.waker import Waker

S = TypeVar("S")
E = TypeVar("E")


@dataclass(frozen=True)
class StatusChange:
    """What the row of the saga in lists is to say from now on; one that keeps its status keeps its reason too.

    For one that waits: the name of the signal, or a timer, and when it goes on by itself, if ever. For one that waits
    for a provider: which one, since when, and until when at most. For one that waits at a brake: the brake's id, since
    when, and its deadline. `cause` is why it is suspended, or compensated.
    """

    status: Status
    reason: str | None = None
    waiting_for: str | None = None
    due_at: datetime | None = None
    provider: str | None = None
    provider_since: datetime | None = None
    cause: FailureCause | None = None
    brake: str | None = None
    brake_since: datetime | None = None

    @property
    def rank(self) -> int:
        """What counts of several suspensions at once: an operator's first, then a provider's, then a brake's."""
        return 2 if self.brake else 1 if self.provider else 0


@dataclass(frozen=True)
class StepCommit:
    """What one commit writes: events, at most one checkpoint, and the saga's status if it changes.

    `expected` gives the version that a stream must have; a stream without one may have any.
    `suspend` releases the saga: nobody runs it until it is queued again. `settled` says that the execution which ends
    with that leaves nothing behind that the record does not tell: no step's outcome is unknown because of it. `start`
    begins a child of the saga, and `recall` asks for the compensation of one, in the same commit.
    """

    events: Sequence[NewEvent]
    expected: Mapping[str, int] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None
    change: StatusChange | None = None
    suspend: bool = False
    start: StartRequest | None = None
    recall: CompensateChild | None = None
    settled: bool = False
    after: frozenset[UUID] = frozenset()


@dataclass(frozen=True)
class StartRequest:
    """A saga to be started. `request` is a digest of what was asked for; without an `owner` it is queued.

    Its `parent` is told how it ended.
    """

    id: str
    name: str
    version: int
    reference: str
    correlation_id: str
    request: str
    inputs: str
    event: NewEvent
    executor: str | None = None
    owner: str | None = None
    deadline: timedelta | None = None
    parent: str | None = None


@dataclass(frozen=True)
class CompensateChild:
    """A child that is to be compensated, whatever it is doing; `event` says so in its own history."""

    saga: str
    reason: str
    event: NewEvent


@dataclass(frozen=True)
class Committed:
    """The commit stands in the database, once."""


class TurnedBack(AmendsError):
    """{saga} turned back: {reason}. Everything that was done has been compensated."""

    saga: str
    reason: str
    error: Problem | None = None

    @property
    def code(self) -> str:
        """Shown by DBOS's tools beside the message."""
        return "compensated"

    @property
    def data(self) -> dict[str, Any]:
        """Shown by DBOS's tools beside the message."""
        return {"reason": self.reason, "error": self.error and dump(self.error, Problem)}


class ChildIdTaken(BaseException):
    """A child's id belongs to another workflow; nothing was written."""


@dataclass(frozen=True)
class StreamMoved:
    """A stream has another version than expected; nothing was written."""

    stream: str
    expected: int
    actual: int


class Fenced(BaseException):
    """This execution does not own its saga any more: it must stop, and nothing it does would be kept."""


class SagaMissing(Fenced):
    """There is no such saga any more: the database has lost its start."""


class RecordLost(Fenced):
    """What this execution has read or written is not on record any more: it starts anew from what is."""


class ForeignStep(BaseException):
    """The next step's number is taken by a row that this saga did not write."""


class Suspended(BaseException):
    """The saga is suspended until something happens or an operator acts; this execution of it is over."""


class TransactionInterrupted(Exception):
    """The database went away in the middle of a transaction, or wants it again: it runs again from its first line.

    `tries` is how often a transaction may end so before an operator is asked; None, however often: the database is
    away.
    """

    def __init__(self, problem: str, tries: int | None = None) -> None:
        super().__init__(problem)
        self.problem, self.tries = problem, tries


class StepTransaction(Protocol):
    """Reads, own SQL and the commit of one transaction step, in one transaction where SQL of its own is used."""

    @property
    def interrupted(self) -> TransactionInterrupted | None:
        """What interrupted this transaction, if something did: it counts whatever the step's code made of it."""
        ...

    async def load(self, aggregate: Aggregate[S, E], key: str) -> tuple[S, int]:
        """The state and the version of its stream; version 0 before the first event."""
        ...

    async def execute(self, sql: str, parameters: Mapping[str, Any] | None) -> list[dict[str, Any]]: ...

    async def commit(self, step_commit: StepCommit) -> Committed | StreamMoved: ...


@dataclass(frozen=True)
class SagaIdentity:
    """Which saga this is. `root` is the saga that a fork goes back to, else its own id; keys are derived from it.

    `parent` is the saga that started it, if one did.
    """

    id: str
    root: str
    cause: Cause
    parent: str | None = None


class ExecutionLog(Protocol):
    """Where one execution of one saga records what it does, and what it learns from the executions before it."""

    @property
    def identity(self) -> SagaIdentity: ...

    @property
    def replay(self) -> ReplayState: ...

    @property
    def limits(self) -> Limits: ...

    @property
    def waker(self) -> Waker:
        """Rung when something happens that concerns this execution: a cancel, the end of this executor, a word of
        `run`."""
        ...

    @property
    def last_step_id(self) -> int:
        """The number of the last step that was drawn; 0 before the first."""
        ...

    def next_step_id(self) -> int:
        """The number of the next step: the same in every execution of the saga, as long as its code does the same."""
        ...

    def now(self) -> datetime:
        """The time of the store."""
        ...

    def monotonic_seconds(self) -> float:
        """The clock of this process, which never goes back."""
        ...

    async def commit(self, step_commit: StepCommit) -> Committed | StreamMoved:
        """Write the events, the checkpoint and the status in one commit. Resends until answered; raises Fenced if
        another execution owns the saga."""
        ...

    def child_start_request(self, saga_type: str, given: JsonValue, id: str, cause: Cause) -> StartRequest:
        """A saga of this type, `name:version`, with its input as plain data, to be started as a child of this one."""
        ...

    async def argument_shapes(self, saga_type: str, step: str) -> Sequence[Shape]:
        """The shapes that the arguments of a step have had, as far as is known, of a saga `name:version`."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[StepTransaction]: ...

    async def holding_brake(self, point: BrakePoint) -> Brake | None:
        """The brake that holds what is about to begin there, if one was in force within the last second.

        Raises as `wait_for_lease` does.
        """
        ...

    async def wait_for_lease(self) -> None:
        """Return once an outside call may be started: this executor's lease holds. Raises Fenced if it never will."""
        ...

    async def wait_until(self, until: datetime) -> None:
        """Return when it is time, or earlier if the waker was used. Raises Suspended while this executor shuts down."""
        ...

    async def wait_for_wakeup(self, seconds: float) -> bool:
        """Return once the waker was used, or after so many seconds; whether it was. Raises as `wait_until` does."""
        ...

    def cancel_reason(self) -> str | None:
        """Why somebody wants the saga cancelled, as far as this executor knows; None if nobody does."""
        ...

    async def reload_replay_state(self) -> ReplayState:
        """What is recorded by now, with what others have added to the saga's stream meanwhile."""
        ...
