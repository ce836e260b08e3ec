"""Lets sagas go on that wait for a provider: one a second asks whether it is back, then all at its rate."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING
from uuid import uuid4

from workflows.durable.store import SagaStore
from workflows.durable.tasks import end, nudged
from workflows.providers import Providers

if TYPE_CHECKING:
    from workflows.durable.engine import Engine

log = logging.getLogger("amends.providers")

LOOK_SECONDS = 0.25
"""How often it is looked whether somebody may go on; that asks no database while nobody may."""
ASK_SECONDS = 1.0
"""How often the database is asked who waits, and what other executors say."""
MOST = 50
"""How many sagas go on at a look."""


class Awaiting:
    """One task of the event loop."""

    def __init__(self, engine: Engine, store: SagaStore, providers: Providers) -> None:
        self._engine, self._store, self._providers = engine, store, providers
        self._wake, self._awaited, self._asked_at = asyncio.Event(), set[str](), 0.0
        self._task: asyncio.Task[None] | None = None
        providers.changed = self._changed

    async def start(self) -> None:
        """Hear first what others know, then look after those who wait."""
        await self._ask()
        self._task = asyncio.create_task(self._watch(), name="awaiting providers")

    async def stop(self) -> None:
        await end(self._task)

    def _changed(self) -> None:
        """A call has ended, or a provider is back: look now, if there is room for several."""
        if any(self._providers.to(name).room > self._providers.to(name).calls // 4 for name in self._awaited):
            self._wake.set()

    async def _watch(self) -> None:
        while True:
            self._wake.clear()
            try:
                if time.monotonic() - self._asked_at >= ASK_SECONDS:
                    await self._ask()
                for name in sorted(self._awaited):
                    await self._let_go_on(name)
            except Exception as error:
                log.warning("Sagas that wait for providers are looked after again after: %s", error)
            await nudged(self._wake, LOOK_SECONDS)

    async def _ask(self) -> None:
        found = await self._store.awaited(self._engine.executor)
        self._asked_at = time.monotonic()
        self._awaited = {each.provider for each in found if each.waits}
        for each in found:
            if each.outage:
                self._providers.to(each.provider).reported(each.outage)

    async def _let_go_on(self, name: str) -> None:
        """Run as many of those who wait for a provider as it takes now, and as there is room for here."""
        engine = self._engine
        room = min(self._providers.to(name).room, engine.options.running - len(engine.running), MOST)
        if not engine.ready or room <= 0:
            return
        owner = str(uuid4())
        claimed = await self._store.claim_awaiting(engine.executor, owner, name, engine.kinds, room)
        if len(claimed) < room:
            self._awaited.discard(name)
        for saga in claimed:
            await engine.run(saga, owner)
