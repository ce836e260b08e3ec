"""A saga's journal on DBOS: its steps have DBOS's numbers, and every entry is fenced by DBOS's owner."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

from pydantic import JsonValue

from domain.event import Cause
from workflows.durable.lease import Lease
from workflows.durable.runtime import next_step
from workflows.durable.store import SagaStore
from workflows.ports import Committed, Entry, Identity, Parked, Recording, Stale, Start, Unit
from workflows.story import FINISHED


class DurableJournal:
    """One life of a saga in this process."""

    def __init__(
        self,
        identity: Identity,
        recording: Recording,
        owner: str,
        store: SagaStore,
        lease: Lease,
        draining: asyncio.Event,
        reload: Callable[[], Awaitable[Recording]],
        order: Callable[[str, JsonValue, str, Cause], Start],
        look: Callable[[], None],
    ) -> None:
        self.identity, self.recording, self._reload = identity, recording, reload
        self._order, self._look = order, look
        self._owner, self._store, self._lease, self._draining = owner, store, lease, draining
        self._cancel, self._stirred = recording.cancel, asyncio.Event()

    def next_slot(self) -> int:
        return next_step()

    def now(self) -> datetime:
        """The time in whole milliseconds, as DBOS keeps it: a replay sees the same."""
        at = datetime.now(UTC)
        return at.replace(microsecond=at.microsecond // 1000 * 1000)

    def order(self, kind: str, given: JsonValue, id: str, cause: Cause) -> Start:
        return self._order(kind, given, id, cause)

    async def commit(self, entry: Entry) -> Committed | Stale:
        committed = await self._store.commit(self.identity.id, self._owner, entry)
        told = self.identity.parent and entry.change and entry.change.status in FINISHED
        if entry.start or entry.recall or told:
            self._look()  # a child was queued, or the parent that waits for this one
        return committed

    def transaction(self) -> AbstractAsyncContextManager[Unit]:
        self._go_on()
        return self._store.transaction(self.identity.id, self._owner)

    async def may_call(self) -> None:
        await self._lease.held()
        self._go_on()

    async def pause(self, until: datetime) -> None:
        """Return when it is time, or earlier if the saga is cancelled or this executor stops."""
        left = (until - datetime.now(UTC)).total_seconds()
        waits = [asyncio.create_task(self._draining.wait()), asyncio.create_task(self._stirred.wait())]
        try:
            await asyncio.wait(waits, timeout=max(left, 0), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._stirred.clear()
        self._go_on()

    def cancelled(self) -> str | None:
        return self._cancel

    def cancel(self, reason: str) -> None:
        """Somebody wants the saga cancelled, who is not this life of it."""
        if self._cancel is None:
            self._cancel = reason
            self._stirred.set()

    async def reload(self) -> Recording:
        self._go_on()
        again = await self._reload()
        self._cancel = self._cancel or again.cancel
        return again

    def _go_on(self) -> None:
        """Begin nothing new while this executor shuts down: another one goes on from here."""
        if self._draining.is_set():
            raise Parked
