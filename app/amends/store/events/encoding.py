"""New events and answers in the form that the database's functions take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from domain.amends.expected import Expected
from workflows.amends.ports.event_store import NewEvent, StoredAnswer
from workflows.amends.values.codec import json_text


def new_events_text(events: Iterable[NewEvent]) -> str:
    """New events as one JSON parameter."""
    return json_text([new_event_json(event) for event in events])


def new_event_json(event: NewEvent) -> dict[str, Any]:
    """A new event as plain JSON data."""
    return {
        "id": str(event.id),
        "stream": event.stream,
        "type": event.type.name,
        "schema_version": event.type.version,
        "data": event.data,
        "metadata": event.cause.metadata(),
    }


def answer_json(answer: StoredAnswer | None) -> dict[str, Any] | None:
    """An answer as plain JSON data."""
    return None if answer is None else {"key": answer.key, "digest": answer.digest, "body": dict(answer.body)}


def append_item(
    events: Sequence[NewEvent], expected: Mapping[str, Expected], answer: StoredAnswer | None
) -> dict[str, Any]:
    """One append as `amends.append` takes it. Locks are taken in the order of `streams` when it goes alone."""
    locks = {event.stream for event in events} | expected.keys() | ({f"request {answer.key}"} if answer else set())
    return {
        "streams": list(locks),
        "events": [new_event_json(event) for event in events],
        "expected": {stream: value.version for stream, value in expected.items() if value.version is not None},
        "answer": answer_json(answer),
    }
