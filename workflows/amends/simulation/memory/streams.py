"""The past of a stream in memory, and states of it, for undo and time travel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from domain.amends.aggregate import Aggregate
from domain.amends.errors import Invalid
from domain.amends.expected import Expected
from workflows.amends.history import FINISHED
from workflows.amends.ports.event_store import (
    START,
    AppendResult,
    FeedCursor,
    FeedFilter,
    NewEvent,
    RepeatedRequest,
    StoredAnswer,
    StoredEvent,
    load_event_json,
)
from workflows.amends.ports.stream_history import NEWEST
from workflows.amends.simulation.memory.tables import MemoryTables

S = TypeVar("S")
E = TypeVar("E")


@dataclass(frozen=True)
class MemoryStreams:
    """The events of one store in memory, and the past of their streams; nothing of it is ever lost."""

    store: MemoryTables

    async def append(
        self, events: Sequence[NewEvent], expected: Mapping[str, Expected] = {}, answer: StoredAnswer | None = None
    ) -> AppendResult | RepeatedRequest:
        return await self.store.events.append(events, expected, answer)

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> list[StoredEvent]:
        return await self.store.events.read(stream, after, limit)

    async def feed(
        self, after: FeedCursor = START, limit: int = 1000, only: FeedFilter = FeedFilter()
    ) -> list[StoredEvent]:
        return await self.store.events.feed(after, limit, only)

    async def version(self, stream: str) -> int:
        return self.store.events.version(stream)

    async def read_back(self, stream: str, before: int, limit: int = 1000) -> list[StoredEvent]:
        return self.store.events.stream_events(stream)[: max(before - 1, 0)][::-1][:limit]

    async def parse_cursor(self, token: str | None, field: str = "after") -> FeedCursor:
        if not token or token == "0":
            return START
        if cursor := FeedCursor.parse(token):
            return cursor
        if not (token.isascii() and token.isdecimal() and len(token) < 19):
            raise Invalid(field, "is not a position or a token that was given out as `next` or `position`")
        if not 0 < int(token) <= len(self.store.events.stored):
            raise Invalid(field, f"there is no event at position {token}")
        return self.store.events.stored[int(token) - 1].cursor

    async def require_on_record(self, cursor: FeedCursor) -> None:
        """Return: what was written stands."""

    async def version_at(self, stream: str, at: datetime) -> int:
        return self._last(stream, lambda event: event.recorded_at <= at)

    async def version_at_position(self, stream: str, position: int) -> int:
        return self._last(stream, lambda event: event.position <= position)

    async def version_at_cursor(self, stream: str, cursor: FeedCursor) -> int:
        return self._last(stream, lambda event: event.cursor <= cursor)

    def _last(self, stream: str, when: Callable[[StoredEvent], bool]) -> int:
        return max((event.version for event in self.store.events.stream_events(stream) if when(event)), default=0)

    async def open_saga(self, stream: str) -> str | None:
        writers = {event.metadata.get("workflow_id") for event in self.store.events.stream_events(stream)}
        rows = self.store.rows.values()
        return next((row.id for row in rows if row.id in writers and row.status not in FINISHED), None)


@dataclass(frozen=True)
class MemoryLoader:
    """Loads aggregates by folding all that their streams hold."""

    store: MemoryTables

    async def load(self, aggregate: Aggregate[S, E], stream: str, until: int = NEWEST) -> tuple[S, int]:
        kept = self.store.events.stream_events(stream)[:until]
        events = [load_event_json(aggregate.vocabulary, stored.type, stored.data_json) for stored in kept]
        return aggregate.fold(events), len(kept)
