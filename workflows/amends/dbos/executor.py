"""Who runs sagas in this process: an executor with its lease, and a new one whenever that was taken away."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from uuid import uuid4

from workflows.amends.dbos.clock import DatabaseClock
from workflows.amends.dbos.lease import Lease, machine, process_started_at
from workflows.amends.engine.user_code.running_code import clock
from workflows.amends.ports.saga_store import SagaStore
from workflows.amends.values.printable import error_message

log = logging.getLogger("amends.engine")

GIVE_UP_SECONDS = 5.0
"""How long what ran under a lease that was taken away may take to end."""
AGAIN_SECONDS = 1.0
"""After so many seconds the database is asked once more for what it did not do."""


class Executor:
    """An id and its lease; both are others after the lease was taken away.

    `give_up` returns once nothing runs here any more of what ran under the lease before; `stuck` is called, in a
    thread, if that takes too long. `became` is told every new id.
    """

    def __init__(
        self,
        store: SagaStore,
        seconds: float,
        beat: Callable[[str, float], datetime | None],
        give_up: Callable[[], Awaitable[None]],
        stuck: Callable[[], None],
    ) -> None:
        self._store, self._seconds, self._beat = store, seconds, beat
        self._give_up, self._stuck = give_up, stuck
        self._loop = asyncio.get_running_loop()
        self._given_up = threading.Event()
        self._again: asyncio.Task[None] | None = None
        self._stopping = False
        self._saga_types: Sequence[str] = ()
        self.clock = DatabaseClock()
        self.lease = self._new()
        self.became: list[Callable[[str], None]] = []

    @property
    def id(self) -> str:
        return self.lease.executor

    async def begin(self, saga_types: Sequence[str]) -> None:
        """Make this executor known, as one that has code for these types of sagas, and renew its lease from now on."""
        self._saga_types = saga_types
        await self._register(self.lease)
        self.lease.start()

    def leave(self) -> None:
        """This process is to end: it does not begin to become another executor any more."""
        self._stopping = True

    def stop(self) -> None:
        """Renew the lease no more."""
        if self._again:
            self._again.cancel()
        self._given_up.set()
        self.lease.stop()

    def _new(self) -> Lease:
        id = f"{os.uname().nodename}-{os.getpid()}-{uuid4().hex[:8]}"
        return Lease(id, self._seconds, self.clock, self._beat, self._taken_away)

    async def _register(self, lease: Lease) -> None:
        asked_at = clock()
        told = await self._store.register(
            lease.executor, machine(), os.getpid(), process_started_at(os.getpid()), self._saga_types, self._seconds
        )
        lease.first(asked_at, told)

    def _taken_away(self) -> None:
        """See to it that all is given up; in the lease's thread, since nothing may answer in the event loop."""
        self._given_up.clear()
        try:
            self._loop.call_soon_threadsafe(self._begin_again)
        except RuntimeError:  # the loop is closed: nothing runs any more
            return
        if not self._given_up.wait(GIVE_UP_SECONDS):
            self._stuck()

    def _begin_again(self) -> None:
        log.warning(
            "The lease of this executor, %s, was taken away: others may run its sagas. What runs here is given up.",
            self.id,
        )
        self._again = asyncio.create_task(self._become_another(self.lease), name="a new lease")

    async def _become_another(self, old: Lease) -> None:
        await self._give_up()
        self._given_up.set()
        while not self._stopping:
            lease = self._new()
            try:
                await self._store.hand_over(old.executor, ())
                await self._register(lease)
            except Exception as error:
                log.warning("There is no new lease yet: %s", error_message(error))
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            for told in self.became:
                told(lease.executor)
            old.stop()
            self.lease = lease
            lease.start()
            log.warning("This server goes on as a new executor, %s.", lease.executor)
            return
