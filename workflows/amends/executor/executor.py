"""Who runs sagas in this process: an executor with its lease, and a new one whenever that was taken away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from workflows.amends.clocks import Clocks
from workflows.amends.executor.clock import DatabaseClock
from workflows.amends.executor.lease import Lease, LeaseKeeper
from workflows.amends.executor.process import Process
from workflows.amends.ids import new_token
from workflows.amends.ports.saga_store import SagaStore
from workflows.amends.values.printable import error_message

log = logging.getLogger("amends.engine")

AGAIN_SECONDS = 1.0
"""After so many seconds the database is asked once more for what it did not do."""


class Executor:
    """An id and its lease; both are others after the lease was taken away.

    `keeper` makes what renews a lease and calls a function, in the event loop, when it was taken away. `give_up`
    returns once nothing runs here any more of what ran under the lease before. `became` is told every new id.
    """

    def __init__(
        self,
        store: SagaStore,
        seconds: float,
        process: Process,
        clocks: Clocks,
        keeper: Callable[[Lease, Callable[[], None]], LeaseKeeper],
        give_up: Callable[[], Awaitable[None]],
    ) -> None:
        self._store, self._seconds, self._process, self._clocks = store, seconds, process, clocks
        self._made_keeper, self._give_up = keeper, give_up
        self._again: asyncio.Task[None] | None = None
        self._stopping = False
        self._saga_types: Sequence[str] = ()
        self.clock = DatabaseClock(clocks)
        self.lease, self._keeper = self._new()
        self.became: list[Callable[[str], None]] = []

    @property
    def id(self) -> str:
        return self.lease.executor

    async def begin(self, saga_types: Sequence[str]) -> None:
        """Make this executor known, as one that has code for these types of sagas, and renew its lease from now on."""
        self._saga_types = saga_types
        await self._register(self.lease)
        self._keeper.start()

    def leave(self) -> None:
        """This process is to end: it does not begin to become another executor any more."""
        self._stopping = True

    def stop(self) -> None:
        """Renew the lease no more."""
        if self._again:
            self._again.cancel()
        self._keeper.stop()

    def _new(self) -> tuple[Lease, LeaseKeeper]:
        id = f"{self._process.name}-{new_token()[:8]}"
        lease = Lease(id, self._seconds, self.clock, self._clocks.seconds)
        return lease, self._made_keeper(lease, self._begin_again)

    async def _register(self, lease: Lease) -> None:
        asked_at, process = lease.now(), self._process
        told = await self._store.register_executor(
            lease.executor, process.machine, process.pid, process.started_at, self._saga_types, self._seconds
        )
        lease.note_granted(asked_at, told)

    def _begin_again(self) -> None:
        log.warning(
            "The lease of this executor, %s, was taken away: others may run its sagas. What runs here is given up.",
            self.id,
        )
        self._again = asyncio.create_task(self._become_another(self.lease, self._keeper), name="a new lease")

    async def _become_another(self, old: Lease, keeper: LeaseKeeper) -> None:
        await self._give_up()
        keeper.note_nothing_runs()
        while not self._stopping:
            lease, renewed = self._new()
            try:
                await self._store.hand_over(old.executor, ())
                await self._register(lease)
            except Exception as error:
                log.warning("There is no new lease yet: %s", error_message(error))
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            for told in self.became:
                told(lease.executor)
            keeper.stop()
            self.lease, self._keeper = lease, renewed
            renewed.start()
            log.warning("This server goes on as a new executor, %s.", lease.executor)
            return
