"""An event store in memory that writes inline read models in the commit that appends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from domain.amends.expected import Expected
from workflows.amends.ports.event_store import (
    START,
    AppendResult,
    FeedCursor,
    FeedFilter,
    NewEvent,
    RepeatedRequest,
    StoredAnswer,
    StoredEvent,
)
from workflows.amends.ports.projection_builds import BuildTarget, FeedEvent, KnownProjections, TableShape
from workflows.amends.projections.inline import InlineWriter
from workflows.amends.simulation.read_models.store import MemoryProjections


class InlineEvents:
    """The event store below read models in memory, for code that knows these projections."""

    def __init__(self, projections: MemoryProjections, known: KnownProjections) -> None:
        self._projections, self._events = projections, projections.events
        clock = projections.clock
        self._writer = InlineWriter(known, projections.errors, lambda: clock.now.timestamp())

    async def append(
        self, events: Sequence[NewEvent], expected: Mapping[str, Expected] = {}, answer: StoredAnswer | None = None
    ) -> AppendResult | RepeatedRequest:
        appended = await self._events.append(events, expected, answer)
        if isinstance(appended, AppendResult) and self._writer.writes_for(events):
            await self._writer.write(_Transaction(self._projections), events)
        return appended

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> list[StoredEvent]:
        return await self._events.read(stream, after, limit)

    async def feed(
        self, after: FeedCursor = START, limit: int = 1000, only: FeedFilter = FeedFilter()
    ) -> list[StoredEvent]:
        return await self._events.feed(after, limit, only)


class _Transaction:
    """The transaction of an append, which has written its events."""

    def __init__(self, store: MemoryProjections) -> None:
        self._store = store

    async def builds_of(self, name: str, version: int) -> list[int]:
        return [each.build for each in self._store.builds_of(name) if each.version == version]

    def savepoint(self) -> AbstractAsyncContextManager[Any]:
        return nullcontext()

    async def table_shape(self, target: BuildTarget) -> TableShape:
        return await self._store.table_shape(target)

    async def dead_letter_state(self, target: BuildTarget, key: str) -> tuple[bool, set[int]]:
        return key in self._store.all_builds[target].set_aside, await self._store.skipped_positions(target.name)

    async def rows_json(self, target: BuildTarget, keys: Sequence[str]) -> str:
        return await self._store.rows_json(target, keys)

    async def later_events(self, stream: str, after: int, types: Sequence[str]) -> list[FeedEvent]:
        found = await self._store.events.read(stream, after, self._store.events.version(stream))
        return [FeedEvent.of(each) for each in found if each.name in types]

    async def put_rows(self, target: BuildTarget, rows: str) -> None:
        build = self._store.all_builds[target]
        build.rows = build.rows_after_change(build.rows, rows, ())

    async def reset_timeouts(self) -> None:
        return None
