"""Pages of events, bounded in number and in bytes: one that is full ends earlier, and is gone on with from there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from workflows.amends.ports.event_store import FeedCursor, StoredEvent
from workflows.amends.values.limits import MIB

PAGE_BYTES: Final = 8 * MIB
"""So many bytes of data and metadata a page has at most, or one event."""
FIRST, MOST = 20, 100
"""How many events are read for a page at first, and at a time: what does not fit into it is read for nothing."""

Read = Callable[[FeedCursor, int], Awaitable[list[StoredEvent]]]
"""Reads so many events at most after a place."""


async def page(read: Read, after: FeedCursor, limit: int) -> list[StoredEvent]:
    """The next events after a place: `limit` of them at most, and at least one if there is any.

    Only a page without any is the end: one of fewer events than `limit` may have been ended by their size.
    """
    found: list[StoredEvent] = []
    room, asked = PAGE_BYTES, FIRST
    while len(found) < limit:
        asked = min(asked, limit - len(found))
        part = await read(found[-1].cursor if found else after, asked)
        for event in part:
            room -= size(event)
            if room < 0 and found:
                return found
            found.append(event)
        if len(part) < asked or room <= 0:
            return found
        mean = max(1, (PAGE_BYTES - room) // len(found))
        asked = max(1, min(2 * asked, MOST, room // mean + 1))
    return found


def size(event: StoredEvent) -> int:
    """The bytes that an event has, but for its name and its place."""
    return len(event.data_json.encode()) + len(event.metadata_json.encode())
