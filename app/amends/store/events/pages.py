"""Pages of events, bounded in number and in bytes: one that is full ends earlier, and the next one goes on from
there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from workflows.amends.ports.event_store import FeedCursor, StoredEvent
from workflows.amends.values.limits import MIB

PAGE_BYTES: Final = 8 * MIB
"""The most bytes of data and metadata on a page, unless one event has more."""
FIRST, MOST = 20, 100
"""Events that are read for a page at first, and at a time: those that do not fit are read for nothing."""

Read = Callable[[FeedCursor, int], Awaitable[list[StoredEvent]]]
"""Reads at most so many events after a place."""


async def read_page(read: Read, after: FeedCursor, limit: int) -> list[StoredEvent]:
    """The next events after a place: `limit` of them at most, and at least one if there is any.

    Only a page without any is the end: one of fewer events than `limit` may have been ended by their size.
    """
    found: list[StoredEvent] = []
    room, count = PAGE_BYTES, FIRST
    while len(found) < limit:
        count = min(count, limit - len(found))
        part = await read(found[-1].cursor if found else after, count)
        for event in part:
            room -= event_size(event)
            if room < 0 and found:
                return found
            found.append(event)
        if len(part) < count or room <= 0:
            return found
        mean = max(1, (PAGE_BYTES - room) // len(found))
        count = max(1, min(2 * count, MOST, room // mean + 1))
    return found


def event_size(event: StoredEvent) -> int:
    """The bytes of an event's data and metadata."""
    return len(event.data_json.encode()) + len(event.metadata_json.encode())
