"""Tells those who follow the feed that it went on: at once of what this process wrote, by a query of the rest."""

from __future__ import annotations

import asyncio
import logging

from app.store.events import SQL
from app.store.reader import Reader
from domain.errors import Contended, Unavailable
from workflows.durable.tasks import end, nudged
from workflows.events import START, Place

log = logging.getLogger("amends.store")

LOOK_SECONDS = 0.2
"""How often it looks for what other processes wrote, while somebody follows."""
LEAST_SECONDS = 0.01
"""How long it rests after each look: under load one look serves many commits."""


class Tail:
    """The end of the feed, as this process knows it. No notification is sent inside a transaction that writes: it would
    take a lock that all of them share."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.end: Place = START
        self._moved, self._nudged = asyncio.Event(), asyncio.Event()
        self._followers = 0
        self._task: asyncio.Task[None] | None = None

    def nudge(self) -> None:
        """Something was committed here."""
        if self._followers:
            self._nudged.set()

    async def beyond(self, place: Place, seconds: float) -> bool:
        """Wait until the feed goes further than a place; False if it did not within so many seconds."""
        self._followers += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look(), name="tail")
        try:
            async with asyncio.timeout(seconds):
                while self.end <= place:
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
                continue
            if row and (end := Place(**row)) != self.end:
                self.end = end
                self._moved.set()
                self._moved = asyncio.Event()
            await asyncio.sleep(LEAST_SECONDS)
            await nudged(self._nudged, LOOK_SECONDS)
