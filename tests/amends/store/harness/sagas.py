"""Sagas in the database without an engine: as much as the store's tests need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import URL

from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.roles import as_service
from app.amends.postgres.statements.committer import Committer
from app.amends.postgres.statements.reader import Reader
from app.amends.projections.postgres_projections import PostgresProjections
from app.amends.store.aggregates.loader import AggregateLoader
from app.amends.store.events.writer import EventWriter
from app.amends.store.sagas.postgres_sagas import PostgresSagas
from domain.amends.event import Cause, EventType
from workflows.amends.history.replay_state import Checkpoint
from workflows.amends.ids import new_id
from workflows.amends.ports.event_store import NewEvent
from workflows.amends.ports.execution_log import StartRequest, StepCommit
from workflows.amends.ports.saga_store import StartOutcome

AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Store:
    sagas: PostgresSagas
    writer: EventWriter
    committer: Committer
    reader: Reader
    loader: AggregateLoader

    @property
    def projections(self) -> PostgresProjections:
        return PostgresProjections(self.committer, self.reader)


@asynccontextmanager
async def store(url: URL, connections: int = 4, snapshot_every: int = 500) -> AsyncIterator[Store]:
    """The store with the rights that the service has."""
    url = as_service(url)
    readers, committer = Pool(url, 4), Committer(url, connections)
    async with readers:
        committer.start()
        reader, writer = Reader(readers), EventWriter(committer)
        loader = AggregateLoader(committer, reader, snapshot_every)
        try:
            yield Store(PostgresSagas(writer, reader, loader), writer, committer, reader, loader)
        finally:
            await committer.stop()


def event(stream: str, name: str = "thing-happened", data: Any = None, id: UUID | None = None) -> NewEvent:
    return NewEvent(id or new_id(), stream, EventType(name, 1), data or {}, Cause(actor="test"))


def checkpoint(step_id: int, name: str = "step", output: str | None = '"done"', error: str | None = None) -> Checkpoint:
    return Checkpoint(step_id, name, output, error, AT, AT)


def step_commit(saga: str, step_id: int, *business: NewEvent, **expected: int) -> StepCommit:
    return StepCommit([event(f"saga-{saga}"), *business], expected, checkpoint(step_id))


async def started(store: Store, owner: str | None = "me", id: str | None = None, request: str = "r") -> str:
    """A saga that runs under `owner`, or is queued."""
    id = id or str(uuid4())
    told = NewEvent(
        new_id(),
        f"saga-{id}",
        EventType("saga-started", 1),
        {"name": "place-order", "version": 1, "reference": "4711", "root": id, "input": {}},
        Cause(),
    )
    executor = "executor-1" if owner else None
    start = StartRequest(id, "place-order", 1, "4711", id, request, "{}", told, executor, owner)
    assert await store.sagas.start(start) is StartOutcome.STARTED
    return id
