"""Reads the feed for one who follows it, and sees whether what it was sent still stands."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from app.amends.store.events.postgres_events import PostgresEvents, WentBack
from app.amends.store.feed.notifier import FeedNotifier
from workflows.amends.ports.event_store import FeedCursor, Filter, StoredEvent

KEPT: Final = 1_000
"""How many of the last events that a follower was sent are asked for again when another run of the server answers."""


class Follower:
    """One who follows the feed. `cursor` is that of the last event that it was sent, or the one that it came with.

    History goes back by commits, and not by places: what is gone may lie before an event that still stands. So the last
    events are remembered, and looked for once another run of the server answers: it is told by the run that a page was
    read in, as nothing is new that was not written in a run that had been noted, and by the tail where nothing is new.
    """

    def __init__(self, events: PostgresEvents, feed_notifier: FeedNotifier, cursor: FeedCursor, only: Filter) -> None:
        self._events, self._feed_notifier, self._only = events, feed_notifier, only
        self.cursor = cursor
        self._sent = deque[FeedCursor](maxlen=KEPT)
        self._turns, self._run = feed_notifier.turns, cursor.run

    async def page(self, limit: int) -> list[StoredEvent]:
        """The next events. Raises WentBack where something that was sent is gone, with the last place before it."""
        turns = self._feed_notifier.turns
        try:
            events = await self._events.feed(self.cursor, limit, self._only)
        except WentBack:
            await self._events.require_all_standing(self._sent)
            raise
        run = events[-1].cursor.run if events else self._run
        if (turns, run) != (self._turns, self._run):
            await self._events.require_all_standing(self._sent)
            self._turns, self._run = turns, run
        return events

    def sent(self, events: Sequence[StoredEvent]) -> None:
        """It was sent these, and goes on after them."""
        self._sent.extend(event.cursor for event in events)
        self.cursor = self._sent[-1] if events else self.cursor

    def go_back(self, cursor: FeedCursor) -> None:
        """It goes on from an earlier place, and is sent again what comes after it."""
        self.cursor = cursor
        while self._sent and self._sent[-1] > cursor:
            self._sent.pop()
