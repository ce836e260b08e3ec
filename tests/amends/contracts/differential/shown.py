"""Answers and rows in a form in which two stores can be compared: what is drawn at random is known by its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.amends.errors import AmendsError, Conflict, Invalid, NotFound
from workflows.amends.ports.event_store import FeedCursor, StoredEvent


class Names:
    """What the ids that a store has drawn are called: events by their number in the feed, decisions as they come."""

    def __init__(self) -> None:
        self._known = dict[str, str]()
        self._transactions = dict[int, int]()
        self.count = 0

    def learn(self, events: Iterable[StoredEvent]) -> list[dict[str, Any]]:
        """Take note of the next events of the feed; returns them as they can be compared."""
        return [self._event(event) for event in events]

    def _event(self, event: StoredEvent) -> dict[str, Any]:
        self.count += 1
        self._known[str(event.id)] = f"event {self.count}"
        decision = event.metadata.get("decision")
        if isinstance(decision, str) and decision not in self._known:
            self._known[decision] = f"decision at {self.count}"
        commit = self._transactions.setdefault(event.transaction_id, len(self._transactions) + 1)
        self._known[f"{event.generation}-{event.transaction_id}"] = f"commit {commit}"  # stands for a decision
        return {
            "number": self.count,
            "commit": commit,
            "stream": event.stream,
            "version": event.version,
            "type": f"{event.name}:{event.schema_version}",
            "data": event.data,
            "metadata": self.shown(event.metadata),
            "at": event.recorded_at.astimezone(UTC).isoformat(),
        }

    def answer(self, value: Any) -> Any:
        """An answer. A list has no order unless it is one of events."""
        shown = self.shown(value)
        in_order = not isinstance(value, list) or any(isinstance(each, StoredEvent) for each in value)
        return shown if in_order else sorted(shown, key=repr)

    def shown(self, value: Any) -> Any:
        """A value without what its store has drawn."""
        if isinstance(value, BaseException):
            return self._error(value)
        if isinstance(value, FeedCursor):
            return self._known.get(str(value.event), f"unknown {value!s}") if value.event else str(tuple(value))
        if isinstance(value, StoredEvent):
            return self._known.get(str(value.id), "an event that is not in the feed")
        if is_dataclass(value) and not isinstance(value, type):
            told = {each.name: getattr(value, each.name) for each in fields(value)}
            return {type(value).__name__: self.shown(told)}
        if isinstance(value, Mapping):
            return {str(name): self.shown(each) for name, each in sorted(value.items(), key=str)}
        if isinstance(value, frozenset | set):
            return sorted(map(str, map(self.shown, value)))
        if isinstance(value, list | tuple):
            return [self.shown(each) for each in value]
        if isinstance(value, datetime):
            return value.astimezone(UTC).isoformat()
        if isinstance(value, UUID):
            return self._known.get(str(value), str(value))
        return self._text(value) if isinstance(value, str) else value

    def _text(self, value: str) -> str:
        if cursor := FeedCursor.parse(value):
            return str(self.shown(cursor))
        return self._known.get(value, value)

    def _error(self, error: BaseException) -> Any:
        if isinstance(error, Conflict) or type(error).__name__ == "AlreadyExists":
            return {"raised": "Conflict"}
        if isinstance(error, NotFound | Invalid):
            return {"raised": type(error).__name__}
        facts = self.shown(error.facts()) if isinstance(error, AmendsError) else None
        return {"raised": type(error).__name__, "facts": facts}
