"""Events in memory, for tests in milliseconds; it keeps every promise of a store but that of surviving."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from itertools import islice
from uuid import UUID

from domain.amends.errors import Conflict, StaleVersion
from domain.amends.expected import Expected
from workflows.amends.ports.event_store import (
    DIFFERENT,
    KNOWN_IN_PART,
    START,
    Appended,
    FeedCursor,
    Filter,
    KeptAnswer,
    NewEvent,
    RepeatedRequest,
    StoredEvent,
    require_appendable,
)
from workflows.amends.values.codec import copied
from workflows.amends.values.storable import storable


def _now() -> datetime:
    return datetime.now(UTC)


WHAT = "An append"


@dataclass
class MemoryEvents:
    """An event store for one test."""

    now: Callable[[], datetime] = _now
    stored: list[StoredEvent] = field(default_factory=list)
    _streams: dict[str, list[StoredEvent]] = field(default_factory=dict)
    _answers: dict[str, RepeatedRequest] = field(default_factory=dict)
    _known: dict[UUID, StoredEvent] = field(default_factory=dict)
    _transactions: int = 0

    async def append(
        self, events: Sequence[NewEvent], expected: Mapping[str, Expected] = {}, answer: KeptAnswer | None = None
    ) -> Appended | RepeatedRequest:
        require_appendable(events, expected)
        if answer and (known := self._answers.get(answer.key)):
            return RepeatedRequest(known.digest, copied(known.body))
        body = storable(answer.body, WHAT) if answer else b""
        cursor = self.write(events, expected)
        if answer:
            kept = json.loads(body) | {"position": str(cursor) if cursor != START else None}
            self._answers[answer.key] = RepeatedRequest(answer.digest, kept)
        return Appended(cursor)

    def write(self, events: Sequence[NewEvent], expected: Mapping[str, Expected] = {}) -> FeedCursor:
        """The same at once, without an answer to keep, and to any stream."""
        storable(list(expected), WHAT)
        written = [_written(event) for event in events]
        again = [
            self._again(event, data)
            for event, (data, _) in zip(events, written, strict=True)
            if event.id in self._known
        ]
        if again and len(again) < len(events):
            known = next(event for event in events if event.id in self._known)
            raise Conflict("event-ids", KNOWN_IN_PART.format(id=known.id, stream=known.stream))
        if again:
            return max(again)
        for stream, value in expected.items():
            if value.version is not None and value.version != self.version(stream):
                raise StaleVersion(stream, value.version, self.version(stream))
        self._transactions += 1
        for event, (data, metadata) in zip(events, written, strict=True):
            self._keep(event, data, metadata)
        if events:
            return self.stored[-1].cursor
        last = [self._streams[stream][-1].cursor for stream in expected if self._streams.get(stream)]
        return max(last, default=START)

    def _again(self, event: NewEvent, data: str) -> FeedCursor:
        """The place of an event that was appended before. Raises Conflict if the one with its id is another one."""
        stored = self._known[event.id]
        same = (stored.stream, stored.type) == (event.stream, event.type)
        if not same or compared(stored.data_json) != compared(data):
            raise Conflict("event-ids", DIFFERENT.format(id=event.id, stream=stored.stream))
        return stored.cursor

    def has(self, id: UUID) -> bool:
        """Whether an event was appended under this id."""
        return id in self._known

    def version(self, stream: str) -> int:
        """The version of a stream, 0 if it has no event."""
        return len(self._streams.get(stream, ()))

    def of(self, stream: str) -> list[StoredEvent]:
        """All events of a stream, oldest first."""
        return list(self._streams.get(stream, ()))

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> list[StoredEvent]:
        return list(islice(self._streams.get(stream, ()), max(after, 0), max(after, 0) + limit))

    async def feed(self, after: FeedCursor = START, limit: int = 1000, only: Filter = Filter()) -> list[StoredEvent]:
        return list(islice(self._wanted(after, only), limit))

    def _wanted(self, after: FeedCursor, only: Filter) -> Iterable[StoredEvent]:
        for event in self.stored:
            if (
                event.cursor > after
                and only.type in (None, event.name)
                and only.stream in (None, event.stream)
                and only.correlation_id in (None, event.metadata.get("correlation_id"))
            ):
                yield event

    def _keep(self, event: NewEvent, data: str, metadata: str) -> None:
        stream = self._streams.setdefault(event.stream, [])
        stored = StoredEvent(
            generation=1,
            transaction_id=self._transactions,
            position=len(self.stored) + 1,
            id=event.id,
            stream=event.stream,
            version=len(stream) + 1,
            name=event.type.name,
            schema_version=event.type.version,
            data_json=data,
            metadata_json=metadata,
            recorded_at=self.now(),
        )
        stream.append(stored)
        self.stored.append(stored)
        self._known[stored.id] = stored


def _written(event: NewEvent) -> tuple[str, str]:
    """The data and the metadata of a new event as text. Raises Unstorable for what Postgres would not take."""
    storable([event.stream, event.type.name], WHAT)
    return storable(event.data, WHAT).decode(), storable(event.cause.metadata(), WHAT).decode()


def compared(data: str) -> str:
    """JSON in the form in which it is compared, as Postgres does: 1 is 1.0 and not true, and names have no order."""
    return repr(
        json.loads(data, parse_int=Fraction, parse_float=Fraction, object_pairs_hook=lambda found: dict(sorted(found)))
    )
