"""Events in memory, for tests in milliseconds; it keeps every promise of a store but that of surviving."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
    AppendResult,
    FeedCursor,
    FeedFilter,
    NewEvent,
    RepeatedRequest,
    StoredAnswer,
    StoredEvent,
    require_appendable,
)
from workflows.amends.values.codec import copy_json
from workflows.amends.values.storable import storable_json


def _now() -> datetime:
    return datetime.now(UTC)


WHAT = "An append"


@dataclass
class MemoryEvents:
    """An event store for one test."""

    now: Callable[[], datetime] = _now
    stored: list[StoredEvent] = field(default_factory=list)
    _streams: dict[str, list[StoredEvent]] = field(default_factory=dict)
    answers: dict[str, RepeatedRequest] = field(default_factory=dict)
    _known: dict[UUID, StoredEvent] = field(default_factory=dict)
    _transactions: int = 0
    _is_open: bool = False

    async def append(
        self, events: Sequence[NewEvent], expected: Mapping[str, Expected] = {}, answer: StoredAnswer | None = None
    ) -> AppendResult | RepeatedRequest:
        require_appendable(events, expected)
        if known := self.earlier_answer(answer):
            return known
        if answer:
            storable_json(answer.body, WHAT)
        cursor = self.write(events, expected)
        self.keep_answer(answer, cursor)
        return AppendResult(cursor)

    def earlier_answer(self, to: StoredAnswer | None) -> RepeatedRequest | None:
        """What a request was answered before, if it has a key, and was."""
        known = self.answers.get(to.key) if to else None
        return known and RepeatedRequest(known.digest, copy_json(known.body))

    def keep_answer(self, answer: StoredAnswer | None, cursor: FeedCursor) -> None:
        """Keep the answer to a request, with the place that it reached."""
        if answer:
            kept = json.loads(storable_json(answer.body, WHAT)) | {"position": str(cursor) if cursor != START else None}
            self.answers[answer.key] = RepeatedRequest(answer.digest, kept)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside is one transaction."""
        if self._is_open:
            yield
            return
        self._transactions, self._is_open = self._transactions + 1, True
        try:
            yield
        finally:
            self._is_open = False

    def require_new(self, events: Sequence[NewEvent]) -> None:
        """Raise Conflict if one of these events stands already, or stands twice among them."""
        for id, times in Counter(event.id for event in events).items():
            if times > 1 or id in self._known:
                raise Conflict("event-ids", f"An event with the id {id} stands already.")

    def insert(self, events: Sequence[NewEvent]) -> FeedCursor:
        """Write events that are all new, to any stream. Raises Conflict if one is not."""
        self.require_new(events)
        return self.write(events)

    def write(self, events: Sequence[NewEvent], expected: Mapping[str, Expected] = {}) -> FeedCursor:
        """Append at once, without an answer to keep, and to any stream."""
        storable_json(list(expected), WHAT)
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
        wanted = {stream: value.version for stream, value in expected.items() if value.version is not None}
        if stale := self.first_stale_stream(wanted):
            raise StaleVersion(*stale)
        with self.transaction():
            for event, (data, metadata) in zip(events, written, strict=True):
                self._keep(event, data, metadata)
        if events:
            return self.stored[-1].cursor
        last = [self._streams[stream][-1].cursor for stream in wanted if self._streams.get(stream)]
        return max(last, default=START)

    def _again(self, event: NewEvent, data: str) -> FeedCursor:
        """The place of an event that was appended before. Raises Conflict if the one with its id is another one."""
        stored = self._known[event.id]
        same = (stored.stream, stored.type) == (event.stream, event.type)
        if not same or comparable_json(stored.data_json) != comparable_json(data):
            raise Conflict("event-ids", DIFFERENT.format(id=event.id, stream=stored.stream))
        return stored.cursor

    def first_stale_stream(self, expected: Mapping[str, int]) -> tuple[str, int, int] | None:
        """The first stream that has another version than expected, with both, in the order of Postgres's objects."""
        for stream in sorted(expected, key=lambda name: (len(name.encode()), name.encode())):
            if (actual := self.version(stream)) != expected[stream]:
                return stream, expected[stream], actual
        return None

    def event_by_id(self, id: UUID) -> StoredEvent | None:
        """The event that was appended under this id."""
        return self._known.get(id)

    def version(self, stream: str) -> int:
        """The version of a stream, 0 if it has no event."""
        return len(self._streams.get(stream, ()))

    def stream_events(self, stream: str) -> list[StoredEvent]:
        """All events of a stream, oldest first."""
        return list(self._streams.get(stream, ()))

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> list[StoredEvent]:
        return list(islice(self._streams.get(stream, ()), max(after, 0), max(after, 0) + limit))

    async def feed(
        self, after: FeedCursor = START, limit: int = 1000, only: FeedFilter = FeedFilter()
    ) -> list[StoredEvent]:
        return list(islice(self._wanted(after, only), limit))

    def _wanted(self, after: FeedCursor, only: FeedFilter) -> Iterable[StoredEvent]:
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
    storable_json([event.stream, event.type.name], WHAT)
    return storable_json(event.data, WHAT).decode(), storable_json(event.cause.metadata(), WHAT).decode()


def comparable_json(data: str) -> str:
    """JSON in the form in which it is compared, as Postgres does: 1 is 1.0 and not true, and names have no order."""
    return repr(
        json.loads(data, parse_int=Fraction, parse_float=Fraction, object_pairs_hook=lambda found: dict(sorted(found)))
    )
