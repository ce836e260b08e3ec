"""Those who wait until a read model has got to what they wrote: however many they are, it is asked for all at once."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict

from app.amends.postgres.statements.reader import Reader
from app.amends.projections import SQL
from domain.amends.errors import Contended, Unavailable
from workflows.amends.ports.event_store import FeedCursor

log = logging.getLogger("amends.projections")

LOOK_SECONDS = 0.01
"""How often it is asked while somebody waits."""
AWAY_SECONDS = 0.25
"""How long it rests where there was no answer."""


class Waiting:
    """Waits in one process."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._waiters: defaultdict[str, dict[asyncio.Future[bool], FeedCursor]] = defaultdict(dict)
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def until(self, name: str, cursor: FeedCursor, seconds: float) -> bool:
        """Wait until the live table of a read model has got to a place.

        False if it has not in time, and at once for a place that does not stand any more.
        """
        reached = asyncio.get_running_loop().create_future()
        self._waiters[name][reached] = cursor
        if name not in self._asking or self._asking[name].done():
            self._asking[name] = asyncio.create_task(self._ask(name), name=f"waiting for {name}")
        try:
            done, _ = await asyncio.wait([reached], timeout=seconds)
        finally:
            self._waiters[name].pop(reached, None)
        return bool(done) and reached.result()

    async def _ask(self, name: str) -> None:
        while waiters := dict(self._waiters[name]):
            try:
                reached = await self._reached(name, list(waiters.values()))
            except (Unavailable, Contended) as away:
                log.debug("How far %s has got is not known: %s", name, away)
                await asyncio.sleep(AWAY_SECONDS)
                continue
            except Exception as error:
                log.warning("How far %s has got is asked again, after: %s", name, error)
                await asyncio.sleep(AWAY_SECONDS)
                continue
            for waiter, cursor in waiters.items():
                stands = reached.get(str(cursor))
                if stands is not None and not waiter.done():
                    waiter.set_result(stands)
                    self._waiters[name].pop(waiter, None)
            await asyncio.sleep(LOOK_SECONDS)

    async def _reached(self, name: str, waited_for: list[FeedCursor]) -> dict[str, bool]:
        """Which of these places need not be waited for any longer, and whether they stand."""
        cursors = list({str(cursor): cursor for cursor in waited_for}.items())
        columns = [list(column) for column in zip(*((*cursor, cursor.event) for _, cursor in cursors), strict=True)]
        rows = await self._reader.tuples(SQL["reached"], (*columns, name))
        return {cursors[number - 1][0]: stands for number, stands in rows}
