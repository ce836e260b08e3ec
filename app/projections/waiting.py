"""Those who wait until a read model has got to what they wrote: however many they are, it is asked for all at once."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict

from app.projections import SQL
from app.store.reader import Reader
from workflows.events import Place

log = logging.getLogger("amends.projections")

LOOK_SECONDS = 0.01
"""How often it is asked while somebody waits."""


class Waiting:
    """Waits in one process."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._waiters: defaultdict[str, dict[asyncio.Future[None], Place]] = defaultdict(dict)
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def until(self, name: str, place: Place, seconds: float) -> bool:
        """Wait until the live table of a read model has got to a place; False if it has not in time."""
        reached = asyncio.get_running_loop().create_future()
        self._waiters[name][reached] = place
        if name not in self._asking or self._asking[name].done():
            self._asking[name] = asyncio.create_task(self._ask(name), name=f"waiting for {name}")
        try:
            done, _ = await asyncio.wait([reached], timeout=seconds)
        finally:
            self._waiters[name].pop(reached, None)
        return bool(done)

    async def _ask(self, name: str) -> None:
        while waiters := dict(self._waiters[name]):
            try:
                reached = await self._reached(name, list(waiters.values()))
            except Exception as error:
                log.warning("How far %s has got is asked again, after: %s", name, error)
                reached = set()
            for waiter, place in waiters.items():
                if place in reached and not waiter.done():
                    waiter.set_result(None)
                    self._waiters[name].pop(waiter, None)
            await asyncio.sleep(LOOK_SECONDS)

    async def _reached(self, name: str, places: list[Place]) -> set[Place]:
        columns = [list(column) for column in zip(*set(places), strict=True)]
        rows = await self._reader.tuples(SQL["reached"], (*columns, name))
        return {Place(*row) for row in rows}
