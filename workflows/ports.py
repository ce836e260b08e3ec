"""What the engine needs of the store: the words that the two speak with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Protocol, TypeVar
from uuid import UUID

from pydantic import JsonValue

from domain.aggregate import Aggregate
from domain.event import Cause
from workflows.events import Answer, NewEvent, Place, Repeated
from workflows.story import OperatorActed, SagaCompensating, SagaWaiting, Status, StepCompensated, Told

S = TypeVar("S")
E = TypeVar("E")


@dataclass(frozen=True)
class Checkpoint:
    """A step's row as DBOS keeps it: what came out, as JSON text, under the step's number."""

    slot: int
    name: str
    output: str | None
    error: str | None
    started_at: datetime
    completed_at: datetime


@dataclass(frozen=True)
class StatusChange:
    """What the row of the saga in lists is to say from now on.

    For one that waits: the name of the signal, or a timer, and when it goes on by itself, if ever.
    """

    status: Status
    reason: str | None = None
    waiting_for: str | None = None
    due_at: datetime | None = None


@dataclass(frozen=True)
class Entry:
    """What one commit writes: events, at most one checkpoint, and the saga's status if it changes.

    `expected` gives the version that a stream must have; a stream without one may have any.
    `park` releases the saga: nobody runs it until it is queued again.
    """

    events: Sequence[NewEvent]
    expected: Mapping[str, int] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None
    change: StatusChange | None = None
    park: bool = False


@dataclass(frozen=True)
class Committed:
    """The entry stands in the database, once."""


@dataclass(frozen=True)
class Stale:
    """A stream has another version than expected; nothing was written."""

    stream: str
    expected: int
    actual: int


class Fenced(BaseException):
    """This execution does not own its saga any more: it must stop, and nothing it does would be kept."""


class ForeignStep(BaseException):
    """The next step's number is taken by a row that this saga did not write."""


class Parked(BaseException):
    """The saga rests until somebody acts; this execution of it is over."""


class Interrupted(Exception):
    """The database went away in the middle of a transaction, or wants it again: it runs again from its first line."""


class Unit(Protocol):
    """Reads, own SQL and the commit of one transaction step, in one transaction where SQL of its own is used."""

    async def load(self, aggregate: Aggregate[S, E], key: str) -> tuple[S, int]:
        """The state and the version of its stream; version 0 before the first event."""
        ...

    async def execute(self, sql: str, parameters: Mapping[str, Any] | None) -> list[dict[str, Any]]: ...

    async def commit(self, entry: Entry) -> Committed | Stale: ...


@dataclass(frozen=True)
class Identity:
    """Which saga this is. `root` is the saga that a fork goes back to, else its own id; keys are derived from it."""

    id: str
    root: str
    cause: Cause


@dataclass(frozen=True)
class Recording:
    """What earlier lives of a saga have recorded; empty in its first life.

    By step number: `arguments` are the digests, `failures` the failed attempts of a step without an outcome and when
    the next one is due, `acts` what a person decided last, `waits` what the saga began to wait for, `received` which of
    them a signal ended. `redo` says how often a step was compensated in the family of forks. `version` is that of the
    saga's stream, `signals` what it was told, by name and oldest first. `turned_back` is told once it did, `cancel` why
    somebody wants it to, `cancel_lost` that this came too late. `recovered` says that a life before this one may have
    ended in the middle of a step, `exhausted` why the next step may not be tried again by itself, if so.
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
    exhausted: str | None = None


class Journal(Protocol):
    """Where one life of one saga records what it does, and what it learns from the lives before it."""

    @property
    def identity(self) -> Identity: ...

    @property
    def recording(self) -> Recording: ...

    def next_slot(self) -> int:
        """The number of the next step: the same in every life of the saga, as long as its code does the same."""
        ...

    def now(self) -> datetime: ...

    async def commit(self, entry: Entry) -> Committed | Stale:
        """Write the entry in one commit. Resends until answered; raises Fenced if another execution owns the saga."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Unit]: ...

    async def may_call(self) -> None:
        """Return once an outside call may be started: this executor's lease holds. Raises Fenced if it never will."""
        ...

    async def pause(self, until: datetime) -> None: ...

    def cancelled(self) -> str | None:
        """Why somebody wants the saga cancelled, as far as this executor knows; None if nobody does."""
        ...

    async def reload(self) -> Recording:
        """What is recorded by now, with what others have added to the saga's stream meanwhile."""
        ...


@dataclass(frozen=True)
class Start:
    """A saga to be started. `request` is a digest of what was asked for; without an `owner` it is queued."""

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


class StartOutcome(Enum):
    STARTED = "started"
    REPEATED = "repeated"
    """The same request came before; nothing was done."""
    TAKEN = "taken"
    """Another request has this id; nothing was done."""


@dataclass(frozen=True)
class Claimed:
    """A saga that this executor now owns, with its input as DBOS stores it."""

    id: str
    name: str
    inputs: str


@dataclass(frozen=True)
class StoredSaga:
    """A saga's row, its checkpoints, its story, and the compensations of its family of forks."""

    root: str
    version: int
    status: Status
    takeovers: int
    checkpoints: Sequence[Checkpoint]
    told: Sequence[tuple[UUID, Told]]
    undone: Sequence[StepCompensated]
    deadline_at: datetime | None
    lives: int


@dataclass(frozen=True)
class Neighbour:
    """Another executor, as far as the database knows; `expired` says that its lease is over by the database's clock."""

    id: str
    machine: str
    pid: int
    born: float
    expired: bool


class SagaStore(Protocol):
    """What the durable engine needs of the store. What writes is resent until it is answered, unless said otherwise."""

    async def start(self, start: Start) -> StartOutcome:
        """Start a saga, once per id. Raises Unavailable if the database does not answer in time."""
        ...

    async def claim(self, executor: str, owner: str, kinds: Sequence[str], limit: int) -> list[Claimed]:
        """Take queued sagas, oldest first, if this executor is alive."""
        ...

    async def wake_due(self, limit: int) -> int:
        """Queue sagas whose time has come; returns how many."""
        ...

    async def load(self, id: str) -> StoredSaga | None: ...

    async def adopt(self, id: str) -> None:
        """Make a saga of a fork that DBOS's tools made of one."""
        ...

    async def commit(self, id: str, owner: str, entry: Entry) -> Committed | Stale:
        """Raises Fenced if the owner is another one, ForeignStep if the step's number is taken."""
        ...

    def transaction(self, id: str, owner: str) -> AbstractAsyncContextManager[Unit]: ...

    async def act(
        self,
        id: str,
        version: int,
        allowed: Sequence[Status],
        event: NewEvent,
        status: Status,
        answer: Answer | None,
        cancel: str | None = None,
    ) -> Place | Status | Repeated:
        """Append a person's act and queue the saga again; returns its status if that is not an allowed one.

        With `cancel` it turns back when it goes on.

        Raises StaleVersion if the saga's stream is not at `version`.
        """
        ...

    async def signal(self, id: str, signal: str, event: NewEvent, answer: Answer | None) -> Place | Status | Repeated:
        """Append a signal to a saga's story, and let it go on if it waits for that; its status if it is finished.

        Raises NotFound.
        """
        ...

    async def cancel(
        self, id: str, pivots: Sequence[str], reason: str, event: NewEvent, answer: Answer | None
    ) -> Place | Status | Repeated | None:
        """Note that a saga is to be cancelled; its status if it is finished, None if one of its pivots is recorded.

        Raises NotFound.
        """
        ...

    async def cancelled(self, executor: str) -> list[tuple[str, str]]:
        """Sagas that this executor runs and that are to be cancelled, with the reason."""
        ...

    async def running(self, executor: str) -> list[tuple[str, str]]:
        """Ids and owners of what this executor is recorded as running for a while already."""
        ...

    async def release(self, id: str, executor: str, owner: str) -> None:
        """Give a saga back that is recorded as ours."""
        ...

    async def release_orphans(self) -> int:
        """Queue sagas whose start was committed for an executor that had been ended by then; returns how many."""
        ...

    async def without_code(self) -> list[tuple[str, str, int]]:
        """Queued sagas, by id, name and version, that no living executor has code for."""
        ...

    async def unstrand(self, kinds: Sequence[str]) -> None:
        """Queue stranded sagas of these kinds for one more try."""
        ...

    async def ended_abnormally(self) -> list[tuple[str, str]]:
        """Sagas whose workflow was ended by other means than their own, with its status in DBOS."""
        ...

    async def note(self, id: str, event: NewEvent, change: StatusChange, unless: Sequence[Status]) -> None:
        """Append to the story of a saga that nobody runs, and set its status."""
        ...

    async def register(
        self, executor: str, machine: str, pid: int, born: float, kinds: Sequence[str], lease: float
    ) -> None: ...

    async def neighbours(self, executor: str) -> list[Neighbour]: ...

    async def end(self, executors: Sequence[str], by: str, died: bool) -> int:
        """End executors and queue what they ran; returns how many sagas that were."""
        ...
