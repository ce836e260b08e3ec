"""The saga store as a server of a cluster has it: questions go over the network, and are sent again if need be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

from domain.amends.aggregate import Aggregate
from domain.amends.errors import Unavailable
from workflows.amends.history import Status
from workflows.amends.history.replay_state import ReplayState
from workflows.amends.ports.event_store import FeedCursor, NewEvent, RepeatedRequest, StoredAnswer
from workflows.amends.ports.execution_log import (
    Committed,
    StartRequest,
    StatusChange,
    StepCommit,
    StepTransaction,
    StreamMoved,
    TransactionInterrupted,
)
from workflows.amends.ports.executors import OtherExecutor
from workflows.amends.ports.saga_store import (
    BrakeReport,
    ClaimedSaga,
    ProviderReport,
    RecordedStart,
    RefusedStart,
    SagaStore,
    StartOutcome,
    StatusDetails,
    Unmoved,
    VersionMove,
)
from workflows.amends.simulation.cluster.network import NetworkLink
from workflows.amends.simulation.cluster.server.watch import CommitWatch
from workflows.amends.simulation.cluster.virtual_time import run_at_once

S = TypeVar("S")
E = TypeVar("E")
T = TypeVar("T")

REQUEST_SECONDS: Final = 10.0
"""How long a request of a client, and a read, waits for the database."""
STEP_SECONDS: Final = 0.5
"""How long a step waits for it within its own time."""


class RemoteStore:
    """A store that answers at once, at the other end of a link."""

    def __init__(self, store: SagaStore, link: NetworkLink, watch: CommitWatch) -> None:
        self._store, self._link, self._watch = store, link, watch

    def _ask(self, asked: Callable[..., Coroutine[Any, Any, T]], *args: Any, patience: float | None = None) -> Any:
        return self._link.ask(lambda: run_at_once(asked(*args)), patience)

    async def start(self, start: StartRequest) -> StartOutcome | RefusedStart:
        found: StartOutcome | RefusedStart = await self._ask(self._store.start, start, patience=REQUEST_SECONDS)
        return found

    async def recorded_start(self, id: str) -> RecordedStart | None:
        found: RecordedStart | None = await self._ask(self._store.recorded_start, id, patience=REQUEST_SECONDS)
        return found

    async def claim(self, executor: str, owner: str, saga_types: Sequence[str], limit: int) -> list[ClaimedSaga]:
        def claim() -> list[ClaimedSaga]:
            return self._claimed(executor, owner, run_at_once(self._store.claim(executor, owner, saga_types, limit)))

        return await self._link.ask(claim)

    def _claimed(self, executor: str, owner: str, claimed: list[ClaimedSaga]) -> list[ClaimedSaga]:
        if claimed:
            self._watch.note(f"{executor} claims {' '.join(each.id for each in claimed)} as {owner[:4]}")
        return claimed

    async def load_replay_state(self, id: str) -> ReplayState | None:
        found: ReplayState | None = await self._ask(self._store.load_replay_state, id)
        return found

    async def commit(self, id: str, owner: str, step_commit: StepCommit) -> Committed | StreamMoved:
        def write() -> Committed | StreamMoved:
            return run_at_once(self._store.commit(id, owner, step_commit))

        return await self._link.ask(lambda: self._watch.commit(id, owner, step_commit, write), moves=True)

    def transaction(self, id: str, owner: str) -> AbstractAsyncContextManager[StepTransaction]:
        return self._transaction(id, owner)

    @asynccontextmanager
    async def _transaction(self, id: str, owner: str) -> AsyncIterator[StepTransaction]:
        async with self._store.transaction(id, owner) as there:
            yield RemoteTransaction(there, self._link, partial(self._watch.commit, id, owner))

    async def status_details(self, id: str) -> StatusDetails | None:
        found: StatusDetails | None = await self._ask(self._store.status_details, id, patience=REQUEST_SECONDS)
        return found

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
        asked = partial(self._store.apply_operator_action, id, stuck_at, allowed, event, status, answer, cancel)
        found: FeedCursor | Status | RepeatedRequest = await self._ask(asked, patience=REQUEST_SECONDS)
        return found

    async def signal(
        self, id: str, signal: str, event: NewEvent, answer: StoredAnswer | None
    ) -> FeedCursor | Status | RepeatedRequest:
        asked = partial(self._store.signal, id, signal, event, answer)
        found: FeedCursor | Status | RepeatedRequest = await self._ask(asked, patience=REQUEST_SECONDS)
        return found

    async def cancel(
        self, id: str, pivots: Sequence[str], reason: str, event: NewEvent, answer: StoredAnswer | None
    ) -> FeedCursor | Status | RepeatedRequest | None:
        asked = partial(self._store.cancel, id, pivots, reason, event, answer)
        found: FeedCursor | Status | RepeatedRequest | None = await self._ask(asked, patience=REQUEST_SECONDS)
        return found

    async def migrate(
        self, move: VersionMove, event: NewEvent, answer: StoredAnswer | None
    ) -> FeedCursor | Unmoved | RepeatedRequest:
        asked = partial(self._store.migrate, move, event, answer)
        found: FeedCursor | Unmoved | RepeatedRequest = await self._ask(asked, patience=REQUEST_SECONDS)
        return found

    # -- the queue

    async def brakes(self) -> BrakeReport:
        found: BrakeReport = await self._ask(self._store.brakes, patience=REQUEST_SECONDS)
        return found

    async def release_held(self, limit: int) -> int:
        found: int = await self._ask(self._store.release_held, limit)
        return found

    async def awaited_providers(self, executor: str) -> list[ProviderReport]:
        found: list[ProviderReport] = await self._ask(self._store.awaited_providers, executor, patience=REQUEST_SECONDS)
        return found

    async def claim_waiting_for_provider(
        self, executor: str, owner: str, provider: str, saga_types: Sequence[str], limit: int, patience: float
    ) -> list[ClaimedSaga]:
        asked = partial(self._store.claim_waiting_for_provider, executor, owner, provider, saga_types, limit, patience)
        return await self._link.ask(lambda: self._claimed(executor, owner, run_at_once(asked())))

    async def enqueue_due(self, limit: int) -> int:
        return int(await self._ask(self._store.enqueue_due, limit))

    async def note_unclaimed_run(self, id: str) -> None:
        await self._ask(self._store.note_unclaimed_run, id)

    async def adopt_fork(self, id: str) -> None:
        await self._ask(self._store.adopt_fork, id)

    async def cancel_requests(self, executor: str) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = await self._ask(self._store.cancel_requests, executor, patience=REQUEST_SECONDS)
        return found

    async def recorded_running(self, executor: str) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = await self._ask(self._store.recorded_running, executor, patience=REQUEST_SECONDS)
        return found

    async def release(self, id: str, executor: str, owner: str) -> None:
        await self._ask(self._store.release, id, executor, owner)

    async def release_orphans(self) -> int:
        return int(await self._ask(self._store.release_orphans))

    async def requeue_lost_ends(self) -> int:
        return int(await self._ask(self._store.requeue_lost_ends))

    async def queued_without_code(self) -> list[tuple[str, str, int]]:
        found: list[tuple[str, str, int]] = await self._ask(self._store.queued_without_code, patience=REQUEST_SECONDS)
        return found

    async def claim_incompatible(
        self, executor: str, owner: str, saga_types: Sequence[str], limit: int, tried: Sequence[str]
    ) -> list[ClaimedSaga]:
        found: list[ClaimedSaga] = await self._ask(
            self._store.claim_incompatible, executor, owner, saga_types, limit, list(tried)
        )
        return found

    async def ended_abnormally(self) -> list[tuple[str, str, int, str]]:
        found: list[tuple[str, str, int, str]] = await self._ask(self._store.ended_abnormally, patience=REQUEST_SECONDS)
        return found

    async def append_to_unowned(self, id: str, event: NewEvent, change: StatusChange, unless: Sequence[Status]) -> bool:
        done: bool = await self._ask(self._store.append_to_unowned, id, event, change, unless)
        return done

    # -- the executors

    async def register_executor(
        self, executor: str, machine: str, pid: int, process_started_at: float, saga_types: Sequence[str], lease: float
    ) -> datetime:
        asked = partial(self._store.register_executor, executor, machine, pid, process_started_at, saga_types, lease)
        found: datetime = await self._ask(asked)
        return found

    async def other_executors(self, executor: str) -> list[OtherExecutor]:
        asked = self._store.other_executors
        found: list[OtherExecutor] = await self._ask(asked, executor, patience=REQUEST_SECONDS)
        return found

    async def hand_over(self, executor: str, running: Sequence[str]) -> int:
        return int(await self._ask(self._store.hand_over, executor, running, patience=5.0))

    async def end_executors(self, executors: Sequence[str], by: str, died: bool, patience: float | None = None) -> int:
        self._watch.note(f"{by} wants to end {' '.join(executors)}")
        return int(await self._ask(self._store.end_executors, executors, by, died, patience=patience))


class RemoteTransaction:
    """The transaction of one step; the network may interrupt it until its commit is sent."""

    def __init__(
        self,
        there: StepTransaction,
        link: NetworkLink,
        watched: Callable[[StepCommit, Callable[[], Committed | StreamMoved]], Committed | StreamMoved],
    ) -> None:
        self._there, self._link, self._watched = there, link, watched
        self.interrupted: TransactionInterrupted | None = None

    async def load(self, aggregate: Aggregate[S, E], key: str) -> tuple[S, int]:
        try:
            return await self._link.ask(lambda: run_at_once(_load(self._there, aggregate, key)), STEP_SECONDS)
        except Unavailable as away:
            self.interrupted = TransactionInterrupted(str(away))
            raise self.interrupted from None

    async def execute(self, sql: str, parameters: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        return await self._there.execute(sql, parameters)

    async def commit(self, step_commit: StepCommit) -> Committed | StreamMoved:
        if self.interrupted:
            raise self.interrupted
        return await self._link.ask(
            lambda: self._watched(step_commit, lambda: run_at_once(self._there.commit(step_commit))), moves=True
        )


async def _load(there: StepTransaction, aggregate: Aggregate[S, E], key: str) -> tuple[S, int]:
    return await there.load(aggregate, key)
