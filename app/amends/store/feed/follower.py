"""Reads the feed for a follower, and checks that what it was sent still stands."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from app.amends.store.events.postgres_events import PostgresEvents, WentBack
from app.amends.store.feed.notifier import FeedNotifier
from workflows.amends.ports.event_store import FeedCursor, FeedFilter, StoredEvent

KEPT: Final = 1_000
"""The last events of a follower that are checked when another run of the server answers."""


class Follower:
    """A follower of the feed. `cursor` is that of the last event that it was sent, or the one that it came with.

    History goes back by commits, not by places: an event that is gone may lie before one that still stands. So the last
    events are remembered, and checked once another run of the server answers. That is known from the run in which a
    page was read, for new events are only written in a run that has been noted, and from the notifier where there are
    none.
    """

    def __init__(
        self, events: PostgresEvents, feed_notifier: FeedNotifier, cursor: FeedCursor, only: FeedFilter
    ) -> None:
        self._events, self._feed_notifier, self._only = events, feed_notifier, only
        self.cursor = cursor
        self._sent = deque[FeedCursor](maxlen=KEPT)
        self._turns, self._run = feed_notifier.turns, cursor.run

    async def next_page(self, limit: int) -> list[StoredEvent]:
        """The next events. Raises WentBack, with the last place before it that stands, if an event that was sent is
        gone."""
        turns = self._feed_notifier.turns
        try:
            events = await self._events.feed(self.cursor, limit, self._only)
        except WentBack:
            await self._events.require_all_on_record(self._sent)
            raise
        run = events[-1].cursor.run if events else self._run
        if (turns, run) != (self._turns, self._run):
            await self._events.require_all_on_record(self._sent)
            self._turns, self._run = turns, run
        return events

    def note_sent(self, events: Sequence[StoredEvent]) -> None:
        """Note events that were sent: it goes on after them."""
        self._sent.extend(event.cursor for event in events)
        self.cursor = self._sent[-1] if events else self.cursor

    def rewind(self, cursor: FeedCursor) -> None:
        """Go back to an earlier place: events after it are sent again."""
        self.cursor = cursor
        while self._sent and self._sent[-1] > cursor:
            self._sent.pop()
