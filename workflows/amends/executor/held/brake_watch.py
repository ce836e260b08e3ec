"""Keeps what this process knows of the brakes young, and lets sagas go on whose brake was lifted, some at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from domain.amends.errors import Unavailable
from workflows.amends.background import cancel_tasks, wait_until_set
from workflows.amends.brakes.brake import Brake
from workflows.amends.brakes.in_force import BrakesInForce
from workflows.amends.clocks import clock
from workflows.amends.executor.worker import Worker
from workflows.amends.ports.saga_store import SagaStore

log = logging.getLogger("amends.brakes")

LOOK_SECONDS = 0.4
"""How often the brakes are read."""
RELEASE = 40
"""How many sagas of lifted brakes are queued at a look, by each executor: they go on evenly, not in one instant."""


class BrakeWatch:
    """One task of the event loop. `brakes` is what all executions of this process ask."""

    def __init__(self, worker: Worker, store: SagaStore, seconds: Callable[[], float] = clock) -> None:
        self._worker, self._store = worker, store
        self.brakes = BrakesInForce(self._read, seconds)
        self._lifted = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Know the brakes first, then keep knowing them."""
        await self.brakes.refresh()
        self._task = asyncio.create_task(self._watch(), name="brakes")

    async def stop(self) -> None:
        await cancel_tasks(self._task)

    def look(self) -> None:
        """Look now: a brake was set or lifted here."""
        self._wake.set()

    async def _read(self) -> tuple[Brake, ...]:
        found = await self._store.brakes()
        self._lifted = found.lifted
        for each in found.brakes:
            if each not in self.brakes.brakes:
                log.warning("Brake %s holds %s: %s (%s)", each.id, each.scope, each.reason, each.actor)
        for each in self.brakes.brakes:
            if each not in found.brakes:
                log.warning("Brake %s on %s is lifted: what waits at it goes on.", each.id, each.scope)
        return found.brakes

    async def _watch(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self.brakes.refresh()
                if self._lifted and self._worker.ready and await self._store.release_held(RELEASE):
                    self._worker.was_queued()
            except Unavailable as away:
                log.debug("The brakes are read again when the database is back: %s", away)
            except Exception as error:
                log.warning("The brakes are read again after: %s", error)
            await wait_until_set(self._wake, LOOK_SECONDS)
