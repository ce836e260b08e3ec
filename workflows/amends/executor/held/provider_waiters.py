"""Lets sagas go on that wait for a provider: one a second asks whether it is back, then all at its rate."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from domain.amends.errors import Unavailable
from workflows.amends.background import cancel_tasks, wait_until_set
from workflows.amends.clocks import clock
from workflows.amends.executor.worker import Key, Worker
from workflows.amends.ids import new_token
from workflows.amends.ports.saga_store import SagaStore
from workflows.amends.providers import MOMENT, Provider, Providers

log = logging.getLogger("amends.providers")

LOOK_SECONDS = 0.25
"""How often it is looked whether somebody may go on; that asks no database while nobody may."""
ASK_SECONDS = 1.0
"""How often the database is asked who waits, and what other executors say."""
MOST = 50
"""How many sagas go on at a look."""


class ProviderWaiters:
    """One task of the event loop."""

    def __init__(
        self, worker: Worker, store: SagaStore, providers: Providers, seconds: Callable[[], float] = clock
    ) -> None:
        self._worker, self._store, self._providers, self._seconds = worker, store, providers, seconds
        self._wake, self._asked_at = asyncio.Event(), 0.0
        self._awaited = dict[str, None]()
        """Who is waited for, in the order in which the store says so."""
        self._let_go_on_for = dict[str, set[Key]]()
        self._task: asyncio.Task[None] | None = None
        providers.changed = self._changed

    async def start(self) -> None:
        """Hear first what others know, then look after those who wait."""
        await self._ask()
        self._task = asyncio.create_task(self._watch(), name="awaiting providers")

    async def stop(self) -> None:
        await cancel_tasks(self._task)

    def _changed(self) -> None:
        """A call has ended, or a provider is back: look now, if there is room for several."""
        if any(
            self._providers.named(name).free_places > self._providers.named(name).calls // 4 for name in self._awaited
        ):
            self._wake.set()

    async def _watch(self) -> None:
        while True:
            self._wake.clear()
            try:
                if self._seconds() - self._asked_at >= ASK_SECONDS:
                    await self._ask()
                for name in tuple(self._awaited):
                    await self._let_go_on(name)
            except Unavailable as away:
                log.debug("Sagas that wait for providers are looked after when the database is back: %s", away)
            except Exception as error:
                log.warning("Sagas that wait for providers are looked after again after: %s", error)
            await wait_until_set(self._wake, LOOK_SECONDS)

    async def _ask(self) -> None:
        found = await self._store.awaited_providers(self._worker.executor)
        self._asked_at = self._seconds()
        self._awaited = {each.provider: None for each in found if each.waits}
        for each in found:
            if each.outage:
                self._providers.named(each.provider).breaker.note_report(each.outage)
        self._providers.forget(self._awaited)

    async def _let_go_on(self, name: str) -> None:
        """Run as many of those who wait for a provider as it takes now, and as there is room for here."""
        worker, lease, provider = self._worker, self._worker.lease, self._providers.named(name)
        probing = provider.outage is not None
        room = self._room(provider)
        if not worker.ready or room <= 0:
            return
        if not provider.has_gateway:
            provider.breaker.note_probe()
        patience = 0.0 if probing else min(MOMENT, provider.breaker.seconds_closed)
        owner = new_token()
        claimed = await self._store.claim_waiting_for_provider(
            lease.executor, owner, name, worker.saga_types, room, patience
        )
        if len(claimed) < room:
            self._awaited.pop(name, None)
        if not probing and not provider.has_gateway:
            keys = {(saga.id, owner) for saga in claimed}
            self._let_go_on_for[name] = self._let_go_on_for.get(name, set()) | keys
        for saga in claimed:
            await worker.run(saga, owner, lease, probing=probing)

    def _room(self, provider: Provider) -> int:
        """How many may go on now: one that asks whether it is back takes nobody's place."""
        if provider.outage:
            return provider.free_places
        under_way = self._let_go_on_for.get(provider.name, set())
        under_way &= self._worker.running.keys()
        return min(provider.free_places - len(under_way), self._worker.free_places, MOST)
