"""Recent events of this process: it checks by them whether commits were lost."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from domain.amends.event import event_type
from workflows.amends.history import SagaStarted
from workflows.amends.ports.event_store import START, FeedCursor, NewEvent, StoredEvent

START_OF_SAGA: Final = event_type(SagaStarted).name
KEPT: Final = 5_000
"""Events that are kept of those that this process committed, and as many of those that it read."""


@dataclass(frozen=True)
class RecentEvent:
    """An event that was committed: its place, if that is known, and a place that it comes after."""

    id: UUID
    cursor: FeedCursor | None
    after: FeedCursor
    starts: str | None = None
    """The saga that it starts, if it is known to start one."""

    @property
    def known_cursor(self) -> FeedCursor:
        """Its place, or the last place that is known to come before it."""
        return self.cursor or self.after

    def __str__(self) -> str:
        return str(self.cursor or self.id)


class RecentEvents:
    """The last events that this process has committed, and the last of the feed that it has read.

    `end` is the end of the feed as it was last seen: events that are committed later come after it.
    """

    def __init__(self) -> None:
        self.end = START
        self._committed = OrderedDict[UUID, RecentEvent]()
        self._read = OrderedDict[UUID, RecentEvent]()
        self._read_to = START

    def note_committed(self, events: Iterable[NewEvent], after: FeedCursor) -> None:
        """Remember events that were committed; `after` is what `end` was before they were sent."""
        for event in events:
            starts = event.stream.partition("-")[2] if event.type.name == START_OF_SAGA else None
            self._committed[event.id] = RecentEvent(event.id, None, after, starts)
        _bound(self._committed)

    def note_end(self, end: FeedCursor) -> None:
        """Remember the end of the feed."""
        self.end = end
        self._keep(end)

    def note_read(self, events: Sequence[StoredEvent]) -> None:
        """Remember events that were read, if they lie beyond all that was read before, or were committed here."""
        for event in events:
            if event.id in self._committed or event.cursor > self._read_to:
                self._keep(event.cursor)
        if events:
            self._read_to = max(self._read_to, events[-1].cursor)

    def all(self) -> list[RecentEvent]:
        """All recent events."""
        return [*(self._read | self._committed).values()]

    def rewind(self, end: FeedCursor) -> None:
        """Take another end of the feed, in another run of the server."""
        self.end = self._read_to = end

    def forget(self, gone: Iterable[RecentEvent]) -> None:
        """Forget events whose loss is on record."""
        for each in gone:
            self._committed.pop(each.id, None)
            self._read.pop(each.id, None)

    def _keep(self, cursor: FeedCursor) -> None:
        if cursor.event is not None:
            kept = self._committed if cursor.event in self._committed else self._read
            known = kept.get(cursor.event)
            kept[cursor.event] = RecentEvent(cursor.event, cursor, cursor, known.starts if known else None)
            _bound(kept)


def _bound(kept: OrderedDict[UUID, RecentEvent]) -> None:
    while len(kept) > KEPT:
        kept.popitem(last=False)
