"""What the engine needs of the store: sagas started, committed to and signalled, a queue of them, and executors."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol, TypeAlias

from workflows.amends.brakes.brake import Brake
from workflows.amends.history import SagaStuck, Status
from workflows.amends.history.replay_state import ReplayState
from workflows.amends.ports.event_store import FeedCursor, NewEvent, RepeatedRequest, StoredAnswer
from workflows.amends.ports.execution_log import (
    Committed,
    StartRequest,
    StatusChange,
    StepCommit,
    StepTransaction,
    StreamMoved,
)
from workflows.amends.ports.executors import Executors
from workflows.amends.providers import Outage


class StartOutcome(Enum):
    STARTED = "started"
    HELD = "held"
    """It is queued behind a brake, whoever wanted to run it."""
    REPEATED = "repeated"
    """The same request came before; nothing was done."""
    TAKEN = "taken"
    """Another request has this id; nothing was done."""


@dataclass(frozen=True)
class RefusedStart:
    """A brake refuses to have sagas of this type started; nothing was done."""

    brake: str


@dataclass(frozen=True)
class RecordedStart:
    """What a saga was started with, as DBOS stores it, and the version that it has.

    `held` says that it was queued behind a brake.
    """

    name: str
    version: int
    inputs: str
    held: bool = False


@dataclass(frozen=True)
class BrakeReport:
    """The brakes in force, and whether sagas wait at others, which were lifted, or which the store has lost."""

    brakes: tuple[Brake, ...]
    lifted: bool


@dataclass(frozen=True)
class ClaimedSaga:
    """A saga that this executor now owns, with its input as DBOS stores it."""

    id: str
    name: str
    inputs: str


@dataclass(frozen=True)
class StatusDetails:
    """How a saga stands, for operators.

    `stuck` says what it got stuck at last, and `stuck_at` at which version of its history that stands.
    """

    status: Status
    is_compensating: bool
    stuck: SagaStuck | None
    stuck_at: int | None


@dataclass(frozen=True)
class ProviderReport:
    """A provider that sagas wait for, or that other executors find down."""

    provider: str
    waits: bool
    outage: Outage | None


@dataclass(frozen=True)
class VersionMove:
    """A saga that is to go on with another version of its code; `at` is the version of its history that was judged."""

    id: str
    from_version: int
    to_version: int
    at: int


Unmoved: TypeAlias = Status | Literal["executing", "unsettled"]
"""Why a saga was not moved: its status does not allow it, somebody runs it, or its last execution may have left
something without a record."""


class Sagas(Protocol):
    """Sagas one by one, as the simulation has them too: what writes is resent until it is answered."""

    async def start(self, start: StartRequest) -> StartOutcome | RefusedStart:
        """Start a saga, once per id; a brake may hold it, or refuse it unless it is a child.

        Raises Unavailable if the database does not answer in time.
        """
        ...

    async def recorded_start(self, id: str) -> RecordedStart | None:
        """What a saga was started with; None if there is none of this id."""
        ...

    async def claim(self, executor: str, owner: str, saga_types: Sequence[str], limit: int) -> list[ClaimedSaga]:
        """Take queued sagas of these types, oldest first, if this executor is alive."""
        ...

    async def load_replay_state(self, id: str) -> ReplayState | None:
        """What is recorded of a saga, and of the compensations of its family of forks; None if there is none."""
        ...

    async def commit(self, id: str, owner: str, step_commit: StepCommit) -> Committed | StreamMoved:
        """Write a commit of the execution that owns the saga, whole or not at all; the same again changes nothing.

        Raises Fenced if the owner is another one, ForeignStep if the step's number is taken, and Taken if it starts a
        child under an id that belongs to another workflow.
        """
        ...

    def transaction(self, id: str, owner: str) -> AbstractAsyncContextManager[StepTransaction]: ...

    async def status_details(self, id: str) -> StatusDetails | None:
        """How a saga stands; None if there is none."""
        ...

    async def apply_operator_action(
        self,
        id: str,
        stuck_at: int | None,
        allowed: Sequence[Status],
        event: NewEvent,
        status: Status,
        answer: StoredAnswer | None,
        cancel: str | None = None,
    ) -> FeedCursor | Status | RepeatedRequest:
        """Append an operator's action and queue the saga again; its status if that is not an allowed one.

        With `cancel` it is compensated when it goes on. `stuck_at` says about what was decided, None for a saga that is
        not stuck. Raises StaleVersion if it has got stuck anew since then, and NotFound.
        """
        ...

    async def signal(
        self, id: str, signal: str, event: NewEvent, answer: StoredAnswer | None
    ) -> FeedCursor | Status | RepeatedRequest:
        """Append a signal to a saga's history, and queue it if it waits for that; its status if it is finished.

        Raises NotFound.
        """
        ...

    async def cancel(
        self, id: str, pivots: Sequence[str], reason: str, event: NewEvent, answer: StoredAnswer | None
    ) -> FeedCursor | Status | RepeatedRequest | None:
        """Note that a saga is to be cancelled, and queue it if it waits or is stuck before its compensation has begun.

        Returns its status if it is finished, None if one of its pivots is recorded. Raises NotFound.
        """
        ...

    async def migrate(
        self, move: VersionMove, event: NewEvent, answer: StoredAnswer | None
    ) -> FeedCursor | Unmoved | RepeatedRequest:
        """Append `event`, and let a saga go on with another version of its code.

        One that waits, or is incompatible, is queued: whoever has that version runs it to where it waits again. Nobody
        may run it, and nothing that it did may be without a record. Raises StaleVersion if its version or its history
        are others than those that were judged, and NotFound.
        """
        ...


class SagaQueue(Protocol):
    """Sagas that nobody runs, for whoever looks after them."""

    async def brakes(self) -> BrakeReport:
        """The brakes in force, oldest first, and whether others have sagas waiting at them."""
        ...

    async def release_held(self, limit: int) -> int:
        """Queue sagas whose brake is not in force any more, those first that wait for longest; returns how many."""
        ...

    async def awaited_providers(self, executor: str) -> list[ProviderReport]:
        """The providers that sagas wait for, and those that others than this executor find down."""
        ...

    async def claim_waiting_for_provider(
        self, executor: str, owner: str, provider: str, saga_types: Sequence[str], limit: int, patience: float
    ) -> list[ClaimedSaga]:
        """Take sagas that wait for a provider, those first that asked longest ago, if this executor is alive.

        Those who asked within the last `patience` seconds are left out.
        """
        ...

    async def enqueue_due(self, limit: int) -> int:
        """Queue sagas whose time has come; returns how many."""
        ...

    async def note_unclaimed_run(self, id: str) -> None:
        """Note that a saga runs that was not claimed: what it does may be left without a record."""
        ...

    async def adopt_fork(self, id: str) -> None:
        """Make a saga of a fork that DBOS's tools made of one."""
        ...

    async def cancel_requests(self, executor: str) -> list[tuple[str, str]]:
        """Sagas that this executor runs and that are to be cancelled, with the reason."""
        ...

    async def recorded_running(self, executor: str) -> list[tuple[str, str]]:
        """Ids and owners of what this executor is recorded as running for a while already."""
        ...

    async def release(self, id: str, executor: str, owner: str) -> None:
        """Give a saga back that is recorded as ours."""
        ...

    async def release_orphans(self) -> int:
        """Queue sagas that are recorded as run by an executor that was ended, or that nobody knows; returns how many.

        Their start was committed late, or the store has lost that the executor had registered.
        """
        ...

    async def requeue_lost_ends(self) -> int:
        """Queue sagas whose workflow has ended, while the commit that ended them was lost; returns how many."""
        ...

    async def queued_without_code(self) -> list[tuple[str, str, int]]:
        """Queued sagas, by id, name and version, that no living executor has code for."""
        ...

    async def claim_incompatible(
        self, executor: str, owner: str, saga_types: Sequence[str], limit: int, tried: Sequence[str]
    ) -> list[ClaimedSaga]:
        """Claim stranded sagas of these types, those that were stranded first, without those that were `tried`."""
        ...

    async def ended_abnormally(self) -> list[tuple[str, str, int, str]]:
        """Sagas whose workflow was ended by other means than their own: id, name, version, and its status in DBOS."""
        ...

    async def append_to_unowned(self, id: str, event: NewEvent, change: StatusChange, unless: Sequence[Status]) -> bool:
        """Append to the history of a saga that nobody runs, and set its status; returns whether that was done."""
        ...


class SagaStore(Sagas, SagaQueue, Executors, Protocol):
    """All that the engine on DBOS needs of the store."""
