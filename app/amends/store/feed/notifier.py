"""Tells those who follow the feed that it went on: at once of what this process wrote, by a query of the rest."""

from __future__ import annotations

import asyncio
import logging

from app.amends.postgres.statements.reader import Reader
from app.amends.store.events.recent import RecentEvents
from app.amends.store.feed import SQL
from domain.amends.errors import Contended, Unavailable
from workflows.amends.background import end, nudged
from workflows.amends.ports.event_store import START, FeedCursor

log = logging.getLogger("amends.store")

LOOK_SECONDS = 0.2
"""How often it looks for what other processes wrote, while somebody follows."""
LEAST_SECONDS = 0.01
"""How long it rests after each look: under load one look serves many commits."""


class FeedNotifier:
    """The end of the feed, as this process knows it. No notification is sent inside a transaction that writes: it would
    take a lock that all of them share.

    It goes back where history does. `turns` counts how often that may have happened: another run of the server answers
    then, and whoever waits is woken to look whether what it has read still stands.
    """

    def __init__(self, reader: Reader, recent: RecentEvents | None = None) -> None:
        self._reader, self._recent = reader, recent or RecentEvents()
        self.end: FeedCursor = START
        self.turns = 0
        self._moved, self._nudged = asyncio.Event(), asyncio.Event()
        self._followers = 0
        self._task: asyncio.Task[None] | None = None

    def nudge(self) -> None:
        """Something was committed here."""
        if self._followers:
            self._nudged.set()

    async def look_anew(self) -> None:
        """Another run of the server answers: what was read of the one before may be gone."""
        self.turns += 1
        self._wake()

    async def beyond(self, cursor: FeedCursor, seconds: float) -> bool:
        """Wait until the feed goes further than a place, or may have gone back; False if neither within so long."""
        turns = self.turns
        self._followers += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look(), name="tail")
        try:
            async with asyncio.timeout(seconds):
                while self.end <= cursor and self.turns == turns:
                    await self._moved.wait()
            return True
        except TimeoutError:
            return False
        finally:
            self._followers -= 1

    async def stop(self) -> None:
        await end(self._task)

    async def _look(self) -> None:
        while self._followers:
            self._nudged.clear()
            try:
                row = await self._reader.row(SQL["end"], ())
            except (Unavailable, Contended) as away:
                log.debug("The end of the feed is not known: %s", away)
            else:
                self._know(FeedCursor(**row) if row else START)
            await asyncio.sleep(LEAST_SECONDS)
            await nudged(self._nudged, LOOK_SECONDS)

    def _know(self, end: FeedCursor) -> None:
        before, self.end = self.end, end
        self._recent.reached(end)
        if before != START and (end < before or end.run != before.run or (end == before and end.event != before.event)):
            self.turns += 1
            self._wake()
        elif end != before:
            self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
