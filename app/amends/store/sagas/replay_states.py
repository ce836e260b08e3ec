"""The replay state of a saga from its rows: a first page of its events and checkpoints, and the further ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg.rows import TupleRow

from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.statements.reader import Reader
from app.amends.store.sagas.encoding import checkpoint_of
from domain.amends.event import EventType
from workflows.amends.history import SagaEvent, StepCompensated, saga_histories
from workflows.amends.history.replay_state import ReplayFold, ReplayState
from workflows.amends.ports.event_store import load_event_json
from workflows.amends.values.codec import load

SQL = load_statements(Path(__file__).with_name("sagas.sql"))
HISTORY_PAGE: dict[str, Any] = {"rows": 100, "bytes": 256 * 1024}
"""A page of a saga's checkpoints or history: other work of the event loop goes on between two."""


async def replay_state_of(row: dict[str, Any], reader: Reader, settled: bool) -> ReplayState:
    """What is recorded of a saga; `settled` says that its last execution has left nothing without a record.

    Raises Unreadable for an event that the code here cannot read.
    """
    fold = ReplayFold()
    async for events in event_pages(row, reader):
        fold.add_events((UUID(kept[0]), _event(*kept)) for kept in events)
    async for checkpoints in checkpoint_pages(row, reader):
        fold.add_checkpoints(checkpoint_of(tuple(kept)) for kept in checkpoints)
    for undone in compensated_in_forks(row):
        fold.add_compensation_of_fork(undone.step, undone.occurrence)
    return fold.state(
        row["status"],
        row["takeovers"],
        deadline_at=row["deadline_at"],
        recovered=not settled,
        provider=row["provider"],
    )


async def event_pages(row: dict[str, Any], reader: Reader) -> AsyncIterator[Sequence[TupleRow]]:
    """A saga's events from its row and after, oldest first: id, type, version and data as text of each."""
    events, version = row["told"], 0
    while events:
        yield events
        version += len(events)
        events = await _further(reader, "more_history", row["id"], version) if version < row["newest"] else ()


async def checkpoint_pages(row: dict[str, Any], reader: Reader) -> AsyncIterator[Sequence[TupleRow]]:
    """A saga's checkpoints from its row and after, in DBOS's columns."""
    checkpoints = row["checkpoints"]
    while checkpoints:
        yield checkpoints
        last = checkpoints[-1][0]
        checkpoints = await _further(reader, "more_checkpoints", row["id"], last) if last < row["last"] else ()


def compensated_in_forks(row: dict[str, Any]) -> Iterator[StepCompensated]:
    """The compensations of steps in other sagas of the family of forks."""
    yield from (load(data, StepCompensated) for (data,) in row["undone"])


async def _further(reader: Reader, what: str, id: str, after: int) -> list[TupleRow]:
    """The next page of checkpoints or of a history."""
    return await reader.tuples(SQL[what], {"id": id, "after": after} | HISTORY_PAGE, patience=None)


def _event(id: str, type: str, version: int, data: str, *_: object) -> SagaEvent:
    return load_event_json(saga_histories.vocabulary, EventType(type, version), data)
