"""Lets sagas go on that wait for a provider: one a second asks whether it is back, then all at its rate."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING
from uuid import uuid4

from domain.amends.errors import Unavailable
from workflows.amends.background import end, nudged
from workflows.amends.ports.saga_store import SagaStore
from workflows.amends.providers import MOMENT, Provider, Providers

if TYPE_CHECKING:
    from workflows.amends.dbos.engine import Engine

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
        self._probes, self._let = set[tuple[str, str]](), dict[str, set[tuple[str, str]]]()
        self._task: asyncio.Task[None] | None = None
        providers.changed = self._changed

    async def start(self) -> None:
        """Hear first what others know, then look after those who wait."""
        await self._ask()
        self._task = asyncio.create_task(self._watch(), name="awaiting providers")

    async def stop(self) -> None:
        await end(self._task)

    @property
    def probing(self) -> int:
        """How many sagas run here only to see whether a provider is back: they take nobody's place."""
        self._probes &= self._engine.running.keys()
        return len(self._probes)

    def _changed(self) -> None:
        """A call has ended, or a provider is back: look now, if there is room for several."""
        if any(self._providers.named(name).room > self._providers.named(name).calls // 4 for name in self._awaited):
            self._wake.set()

    async def _watch(self) -> None:
        while True:
            self._wake.clear()
            try:
                if time.monotonic() - self._asked_at >= ASK_SECONDS:
                    await self._ask()
                for name in tuple(self._awaited):
                    await self._let_go_on(name)
            except Unavailable as away:
                log.debug("Sagas that wait for providers are looked after when the database is back: %s", away)
            except Exception as error:
                log.warning("Sagas that wait for providers are looked after again after: %s", error)
            await nudged(self._wake, LOOK_SECONDS)

    async def _ask(self) -> None:
        found = await self._store.awaited(self._engine.executor)
        self._asked_at = time.monotonic()
        self._awaited = {each.provider for each in found if each.waits}
        for each in found:
            if each.outage:
                self._providers.named(each.provider).breaker.reported(each.outage)
        self._providers.forget(self._awaited)

    async def _let_go_on(self, name: str) -> None:
        """Run as many of those who wait for a provider as it takes now, and as there is room for here."""
        engine, lease, provider = self._engine, self._engine.lease, self._providers.named(name)
        probes = provider.outage is not None
        room = self._room(provider)
        if not engine.ready or room <= 0:
            return
        if not provider.has_gateway:
            provider.breaker.asked()
        patience = 0.0 if probes else min(MOMENT, provider.breaker.closed_for)
        owner = str(uuid4())
        claimed = await self._store.claim_awaiting(lease.executor, owner, name, engine.kinds, room, patience)
        if len(claimed) < room:
            self._awaited.discard(name)
        keys = {(saga.id, owner) for saga in claimed}
        if probes:
            self._probes |= keys
        elif not provider.has_gateway:
            self._let[name] = self._let.get(name, set()) | keys
        for saga in claimed:
            await engine.run(saga, owner, lease)

    def _room(self, provider: Provider) -> int:
        """How many may go on now: one that asks whether it is back takes nobody's place."""
        if provider.outage:
            return provider.room
        left = self._engine.options.running - self._engine.occupied
        under_way = self._let.get(provider.name, set())
        under_way &= self._engine.running.keys()
        return min(provider.room - len(under_way), left, MOST)
