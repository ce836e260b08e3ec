"""Events and checkpoints as the database's functions take them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from domain.event import Cause
from workflows.codec import text
from workflows.ports import Checkpoint, NewEvent


def events_text(events: Iterable[NewEvent]) -> str:
    """New events as one JSON parameter."""
    return text([_event(event) for event in events])


def _event(event: NewEvent) -> dict[str, Any]:
    return {
        "id": str(event.id),
        "stream": event.stream,
        "type": event.type.name,
        "schema_version": event.type.version,
        "data": event.data,
        "metadata": {name: value for name, value in asdict(event.cause).items() if value is not None},
    }


def checkpoint_text(checkpoint: Checkpoint | None) -> str | None:
    """A checkpoint as one JSON parameter."""
    if checkpoint is None:
        return None
    return text(
        {
            "slot": checkpoint.slot,
            "name": checkpoint.name,
            "output": checkpoint.output,
            "error": checkpoint.error,
            "started_ms": _milliseconds(checkpoint.started_at),
            "completed_ms": _milliseconds(checkpoint.completed_at),
        }
    )


def checkpoint_of(row: tuple[Any, ...]) -> Checkpoint:
    """A checkpoint from DBOS's columns; a row of another writer may lack the times."""
    slot, name, output, error, started, completed = row
    return Checkpoint(slot, name, output, error, _instant(started or completed or 0), _instant(completed or 0))


def cause_of(metadata: dict[str, Any]) -> Cause:
    """A cause from an event's metadata; keys that this code does not know are left out."""
    return Cause(**{name: metadata[name] for name in Cause.__dataclass_fields__ if name in metadata})


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
