"""One store under test: the same words lead to the one in memory and to the one in Postgres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

from app.amends.store.aggregates.repository import Repository
from app.amends.store.aggregates.time_travel import TimeTravel
from app.amends.store.aggregates.undo import UndoRedo
from workflows.amends.brakes.brake import Brake
from workflows.amends.ports.brakes import BrakeStore
from workflows.amends.ports.event_store import EventStore, FeedCursor, StoredEvent
from workflows.amends.ports.executors import Leases
from workflows.amends.ports.saga_store import SagaStore
from workflows.amends.providers import Outage
from workflows.amends.simulation.memory.rows import ManualClock, NotedCause, WorkflowRow
from workflows.amends.simulation.memory.sagas import MemorySagas
from workflows.amends.simulation.memory.streams import MemoryLoader, MemoryStreams

EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


class DbosSide(Protocol):
    """What DBOS itself, its tools and other servers do to the rows."""

    async def outcome(self, id: str, owner: str, status: Literal["SUCCESS", "ERROR"], error: str | None) -> bool: ...

    async def fork(self, id: str, fork: str, start_step: int) -> None: ...

    async def cancel(self, id: str) -> None: ...

    async def resume(self, id: str) -> None: ...

    async def dequeue(self, executor: str, owner: str) -> list[str]: ...

    async def report_outages(self, executor: str, outages: Sequence[Outage], changed: Sequence[str]) -> None: ...


class Side(Protocol):
    """A store, and a look at all that stands in it."""

    sagas: SagaStore
    brakes: BrakeStore
    leases: Leases
    dbos: DbosSide
    events: EventStore
    repository: Repository
    undoing: UndoRedo
    travel: TimeTravel

    async def tell_time(self, now: datetime) -> None: ...

    async def state(self) -> dict[str, Any]:
        """Every row of it, but the events, as plain data."""
        ...

    async def feed(self, after: FeedCursor, count: int) -> list[StoredEvent]:
        """The whole feed after a place, and so many events, once nothing of it is held back by another transaction."""
        ...


@dataclass
class MemoryDbos:
    """What DBOS does, in memory."""

    store: MemorySagas

    async def outcome(self, id: str, owner: str, status: Literal["SUCCESS", "ERROR"], error: str | None) -> bool:
        return self.store.outcome(id, owner, status, error)

    async def fork(self, id: str, fork: str, start_step: int) -> None:
        self.store.fork_workflow(id, fork, start_step)

    async def cancel(self, id: str) -> None:
        self.store.cancel_workflow(id)

    async def resume(self, id: str) -> None:
        self.store.resume_workflow(id)

    async def dequeue(self, executor: str, owner: str) -> list[str]:
        return self.store.dequeue(executor, owner)

    async def report_outages(self, executor: str, outages: Sequence[Outage], changed: Sequence[str]) -> None:
        self.store.report_outages(executor, outages, changed)


class MemorySide:
    """The store in memory."""

    def __init__(self) -> None:
        self.store = MemorySagas(ManualClock())
        self.sagas: SagaStore = self.store
        self.brakes: BrakeStore = self.store
        self.leases: Leases = self.store
        self.events: EventStore = self.store.events
        self.dbos: DbosSide = MemoryDbos(self.store)
        streams, loader = MemoryStreams(self.store), MemoryLoader(self.store)
        self.repository = Repository(streams, loader)
        self.undoing, self.travel = UndoRedo(streams, loader), TimeTravel(streams, loader)

    async def tell_time(self, now: datetime) -> None:
        self.store.clock.now = now

    async def feed(self, after: FeedCursor, count: int) -> list[StoredEvent]:
        return await self.events.feed(after, limit=1_000_000)

    async def state(self) -> dict[str, Any]:
        store = self.store
        return {
            "sagas": {id: _plain(vars(row), "workflow") for id, row in store.rows.items()},
            "causes": {id: _cause(noted) for id, noted in store.causes.items()},
            "brakes": {id: _brake(store, brake) for id, brake in store.brake_rows.items()},
            "workflows": {id: _workflow(row) for id, row in store.workflows.items()},
            "executors": {id: _plain(vars(row)) for id, row in store.executors.items()},
            "outages": {f"{o.provider} by {by}": [_number(o.since), o.error] for (_, by), o in store.outages.items()},
            "answers": {key: [kept.digest, kept.body] for key, kept in store.events.answers.items()},
        }


def _workflow(row: WorkflowRow) -> dict[str, Any]:
    """A workflow's row, whose times are whole milliseconds."""
    checkpoints = {str(number): _plain(vars(known)) for number, known in row.checkpoints.items()}
    return _plain(vars(row), "checkpoints") | {"checkpoints": checkpoints}


def _cause(noted: NotedCause) -> dict[str, Any]:
    return asdict(noted.cause) | {"id": noted.cause.id, "first_at": _number(noted.first_at)}


def _brake(store: MemorySagas, brake: Brake) -> dict[str, Any]:
    lift = store.lifted.get(brake.id)
    lifted = {f"lifted_{part}": getattr(lift, part, None) for part in ("by", "reason", "at")}
    return _plain(vars(brake) | vars(brake.scope) | lifted, "scope")


def _plain(row: Mapping[str, Any], *but: str) -> dict[str, Any]:
    """A row as the database gives it as JSON; times are microseconds."""
    return {name: _number(value) for name, value in row.items() if name not in but}


def _number(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value - EPOCH) // MICROSECOND
    return list(value) if isinstance(value, tuple) else value
