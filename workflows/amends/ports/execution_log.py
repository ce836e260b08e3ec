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
from domain.amends.event import Cause
from workflows.amends.engine.bell import Bell
from workflows.amends.history import ChildStarted, OperatorActed, SagaCompensating, SagaWaiting, Status
from workflows.amends.ports.event_store import NewEvent
from workflows.amends.values.limits import Limits

S = TypeVar("S")
E = TypeVar("E")


@dataclass(frozen=True)
class Checkpoint:
    """A step's row as DBOS keeps it: what came out, as JSON text, under the step's number."""

    step_id: int
    name: str
    output: str | None
    error: str | None
    started_at: datetime
    completed_at: datetime


@dataclass(frozen=True)
class StatusChange:
    """What the row of the saga in lists is to say from now on; one that keeps its status keeps its reason too.

    For one that waits: the name of the signal, or a timer, and when it goes on by itself, if ever. For one that waits
    for a provider: which one, since when, and until when at most.
    """

    status: Status
    reason: str | None = None
    waiting_for: str | None = None
    due_at: datetime | None = None
    provider: str | None = None
    provider_since: datetime | None = None


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
    start: Start | None = None
    recall: CompensateChild | None = None
    settled: bool = False
    after: frozenset[UUID] = frozenset()


@dataclass(frozen=True)
class Start:
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
    """A child that is to be undone, whatever it is doing; `event` says so in its own story."""

    saga: str
    reason: str
    event: NewEvent


@dataclass(frozen=True)
class Committed:
    """The entry stands in the database, once."""


class Taken(BaseException):
    """A child's id belongs to another workflow; nothing was written."""


@dataclass(frozen=True)
class Stale:
    """A stream has another version than expected; nothing was written."""

    stream: str
    expected: int
    actual: int


class Fenced(BaseException):
    """This execution does not own its saga any more: it must stop, and nothing it does would be kept."""


class Missing(Fenced):
    """There is no such saga any more: the database has lost its start."""


class Gone(Fenced):
    """What this execution has read or written is not on record any more: it starts anew from what is."""


class ForeignStep(BaseException):
    """The next step's number is taken by a row that this saga did not write."""


class Suspended(BaseException):
    """The saga rests until somebody acts; this execution of it is over."""


class Interrupted(Exception):
    """The database went away in the middle of a transaction, or wants it again: it runs again from its first line.

    `tries` is how often a transaction may end so before a person is asked; None, however often: the database is away.
    """

    def __init__(self, problem: str, tries: int | None = None) -> None:
        super().__init__(problem)
        self.problem, self.tries = problem, tries


class Unit(Protocol):
    """Reads, own SQL and the commit of one transaction step, in one transaction where SQL of its own is used."""

    @property
    def interrupted(self) -> Interrupted | None:
        """What interrupted this transaction, if something did: it counts whatever the step's code made of it."""
        ...

    async def load(self, aggregate: Aggregate[S, E], key: str) -> tuple[S, int]:
        """The state and the version of its stream; version 0 before the first event."""
        ...

    async def execute(self, sql: str, parameters: Mapping[str, Any] | None) -> list[dict[str, Any]]: ...

    async def commit(self, step_commit: StepCommit) -> Committed | Stale: ...


@dataclass(frozen=True)
class Identity:
    """Which saga this is. `root` is the saga that a fork goes back to, else its own id; keys are derived from it.

    `parent` is the saga that started it, if one did.
    """

    id: str
    root: str
    cause: Cause
    parent: str | None = None


@dataclass(frozen=True)
class Exhausted:
    """Why a saga may not be tried again by itself: a person is asked where it goes on.

    `runs` says that `run` itself may be run up to there; else a person is asked before it.
    """

    reason: str
    runs: bool = True


@dataclass(frozen=True)
class ProviderWait:
    """What a step or a compensation waits for, since when, and whether it may have taken effect all the same."""

    provider: str
    since: datetime
    sent: bool


@dataclass(frozen=True)
class ReplayState:
    """What earlier lives of a saga have recorded; empty in its first life.

    By step number: `arguments` are the digests, `failures` the failed attempts of a step without an outcome and
    when the next one is due, `provider_waits` which provider it waits for, `acts` what a person decided last,
    `waits` what the saga began to wait for, `received` which of them a signal ended. `redo` says how often a step
    was compensated in the family of forks. `version` is that of the saga's stream, `signals` what it was told, by
    name and oldest first. `turned_back` is told once it did, `cancel` why somebody wants it to, `cancel_lost` that
    this came too late. `recovered` says that a life before this one may have ended in the middle of a step,
    `exhausted` why the next step may not be tried again by itself, if so, and `blocks` how often the saga has
    blocked an event loop since a person looked at it. `compensation_requested` says that its parent wants it undone
    after it was completed, `children` are the sagas that were started for a step, oldest first, `recalled` those of
    them whose compensation was asked for.
    """

    checkpoints: Mapping[int, Checkpoint] = field(default_factory=dict)
    arguments: Mapping[int, str] = field(default_factory=dict)
    failures: Mapping[int, tuple[int, datetime | None]] = field(default_factory=dict)
    acts: Mapping[int, OperatorActed] = field(default_factory=dict)
    redo: Mapping[tuple[str, int], int] = field(default_factory=dict)
    status: Status = "running"
    last_event: UUID | None = None
    version: int = 1
    signals: Mapping[str, Sequence[JsonValue]] = field(default_factory=dict)
    waits: Mapping[int, SagaWaiting] = field(default_factory=dict)
    turned_back: SagaCompensating | None = None
    cancel: str | None = None
    cancel_lost: bool = False
    deadline_at: datetime | None = None
    started_at: datetime | None = None
    received: frozenset[int] = frozenset()
    recovered: bool = False
    exhausted: Exhausted | None = None
    blocks: int = 0
    compensation_requested: bool = False
    children: Mapping[int, Sequence[ChildStarted]] = field(default_factory=dict)
    recalled: frozenset[str] = frozenset()
    provider_waits: Mapping[int, ProviderWait] = field(default_factory=dict)
    provider: str | None = None
    """The provider that the saga's row says it waits for, until the next status says otherwise."""


class ExecutionLog(Protocol):
    """Where one life of one saga records what it does, and what it learns from the lives before it."""

    @property
    def identity(self) -> Identity: ...

    @property
    def replay(self) -> ReplayState: ...

    @property
    def limits(self) -> Limits: ...

    @property
    def bell(self) -> Bell:
        """Rung when something happens that concerns this life: a cancel, the end of this executor, a word of `run`."""
        ...

    @property
    def last_step_id(self) -> int:
        """The number of the last step that was drawn; 0 before the first."""
        ...

    def next_step_id(self) -> int:
        """The number of the next step: the same in every life of the saga, as long as its code does the same."""
        ...

    def now(self) -> datetime: ...

    async def commit(self, step_commit: StepCommit) -> Committed | Stale:
        """Write the entry in one commit. Resends until answered; raises Fenced if another execution owns the saga."""
        ...

    def order(self, kind: str, given: JsonValue, id: str, cause: Cause) -> Start:
        """A saga of this kind, `name:version`, with its input as plain data, to be started as a child of this one."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Unit]: ...

    async def may_call(self) -> None:
        """Return once an outside call may be started: this executor's lease holds. Raises Fenced if it never will."""
        ...

    async def pause(self, until: datetime) -> None:
        """Return when it is time, or earlier if the bell was rung. Raises Parked while this executor shuts down."""
        ...

    async def listen(self, seconds: float) -> bool:
        """Return once the bell was rung, or after so many seconds; whether it was. Raises Parked as `pause` does."""
        ...

    def cancelled(self) -> str | None:
        """Why somebody wants the saga cancelled, as far as this executor knows; None if nobody does."""
        ...

    async def reload(self) -> ReplayState:
        """What is recorded by now, with what others have added to the saga's stream meanwhile."""
        ...
