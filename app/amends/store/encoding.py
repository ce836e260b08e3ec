"""Events and checkpoints as the database's functions take them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from workflows.amends.ports.event_store import NewEvent
from workflows.amends.ports.execution_log import Checkpoint, CompensateChild, Start
from workflows.amends.values.codec import text


def events_text(events: Iterable[NewEvent]) -> str:
    """New events as one JSON parameter."""
    return text([event_json(event) for event in events])


def event_json(event: NewEvent) -> dict[str, Any]:
    """A new event as plain JSON data."""
    return {
        "id": str(event.id),
        "stream": event.stream,
        "type": event.type.name,
        "schema_version": event.type.version,
        "data": event.data,
        "metadata": event.cause.metadata(),
    }


def start_json(start: Start) -> dict[str, Any]:
    """A saga to be started, without its first event, as plain JSON data."""
    return {
        "id": start.id,
        "name": start.name,
        "version": start.version,
        "reference": start.reference,
        "correlation": start.correlation_id,
        "request": start.request,
        "inputs": start.inputs,
        "deadline": start.deadline and start.deadline.total_seconds(),
        "parent": start.parent,
    }


def family_text(start: Start | None, recall: CompensateChild | None) -> str | None:
    """A child to be started or called back as one JSON parameter."""
    if start:
        return text({"start": start_json(start) | {"events": [event_json(start.event)]}})
    if recall:
        told = {"saga": recall.saga, "reason": recall.reason, "events": [event_json(recall.event)]}
        return text({"recall": told})
    return None


def checkpoint_text(checkpoint: Checkpoint | None) -> str | None:
    """A checkpoint as one JSON parameter."""
    if checkpoint is None:
        return None
    return text(
        {
            "slot": checkpoint.step_id,
            "name": checkpoint.name,
            "output": checkpoint.output,
            "error": checkpoint.error,
            "started_ms": _milliseconds(checkpoint.started_at),
            "completed_ms": _milliseconds(checkpoint.completed_at),
        }
    )


def checkpoint_of(row: tuple[Any, ...]) -> Checkpoint:
    """A checkpoint from DBOS's columns; a row of another writer may lack the times."""
    step_id, name, output, error, started, completed = row
    return Checkpoint(step_id, name, output, error, _instant(started or completed or 0), _instant(completed or 0))


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
