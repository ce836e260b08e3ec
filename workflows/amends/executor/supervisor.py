"""Looks after what nobody runs: takes over from the dead, gives back what was lost, shows what ended wrongly."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from logging import INFO, WARNING

from domain.amends.errors import Unavailable
from domain.amends.event import Cause
from workflows.amends.background import cancel_tasks, wait_until_set
from workflows.amends.clocks import clock
from workflows.amends.engine.suspension import suspended_status
from workflows.amends.engine.suspension_log import log_suspended
from workflows.amends.executor.worker import Worker
from workflows.amends.history import FINISHED, SagaIncompatible, SagaTerminated, saga_histories
from workflows.amends.ids import new_token
from workflows.amends.ports.event_store import new_amends_event
from workflows.amends.ports.executors import OtherExecutor
from workflows.amends.ports.saga_store import SagaStore

log = logging.getLogger("amends.supervisor")

LOOK_SECONDS = 0.25
"""How often it looks for sagas to take: the longest wait of a saga that was queued elsewhere."""
CARE_SECONDS = 5.0
"""How often it looks for what should not happen."""
SUSPICIOUS_SECONDS = 120.0
"""For how long it looks for what a database has lost, after its start and after another run of the server answers."""
WAKE = 500
"""How many sagas whose time has come are queued at a time."""
CLAIM = 50
"""How many sagas are claimed at a look: several executors share what a dead one left, and those that were claimed come
to their end before more are begun, so that a server that is killed every few seconds gets on all the same."""


class Supervisor:
    """One task of the event loop; it feeds a worker with what is queued.

    `is_gone` says of another executor whether it is certainly dead, `seconds` is the clock of this process.
    """

    def __init__(
        self,
        worker: Worker,
        store: SagaStore,
        is_gone: Callable[[OtherExecutor], bool],
        seconds: Callable[[], float] = clock,
    ) -> None:
        self._worker, self._store, self._is_gone, self._seconds = worker, store, is_gone, seconds
        self._wake = asyncio.Event()
        self._missed: set[tuple[str, str]] = set()
        self._more_are_queued, self._ended = False, 0
        self._cared_at, self._suspicious_until = 0.0, self._seconds() + SUSPICIOUS_SECONDS
        self._task: asyncio.Task[None] | None = None
        worker.has_room, worker.was_queued = self.note_saga_ended, self.request_queue_check

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch(), name="supervisor")

    async def stop(self) -> None:
        await cancel_tasks(self._task)

    def request_queue_check(self) -> None:
        """Look now: something was queued."""
        self._wake.set()

    def suspect_losses(self) -> None:
        """The database may have lost commits: look now, and for a while, for what that left behind."""
        self._cared_at, self._suspicious_until = 0.0, self._seconds() + SUSPICIOUS_SECONDS
        self._wake.set()

    def note_saga_ended(self) -> None:
        """A saga ended here: there is room for a queued one."""
        self._ended += 1
        if self._worker.free_places <= 1 or (self._more_are_queued and self._ended >= CLAIM // 2):
            self._wake.set()

    async def _watch(self) -> None:
        while True:
            self._wake.clear()  # what is queued from here on is looked for again
            try:
                await self._take_over()
                await self._claim()
                await self._cancel()
                if self._seconds() - self._cared_at > CARE_SECONDS:
                    self._cared_at = self._seconds()
                    await self._care()
            except Unavailable as away:
                log.debug("The supervisor goes on when the database is back: %s", away)
            except Exception as error:
                log.warning("The supervisor goes on after: %s", error)
            await wait_until_set(self._wake, LOOK_SECONDS)

    async def _take_over(self) -> None:
        """End executors that are certainly gone, and those whose lease ran out while ours held without a gap.

        The second half matters after the database was away: everybody's lease ran out then, and everybody needs the
        time to renew it.
        """
        others = await self._store.other_executors(self._worker.executor)
        lease = self._worker.lease
        patient = lease.seconds_held() >= lease.seconds
        dead = [other.id for other in others if self._is_gone(other) or (other.expired and patient)]
        if dead:
            count = await self._store.end_executors(dead, self._worker.executor, True)
            log.log(WARNING if count else INFO, "Took over from %s: %d sagas.", ", ".join(dead), count)

    async def _claim(self) -> None:
        worker, lease = self._worker, self._worker.lease
        if worker.ready:
            await self._store.enqueue_due(WAKE)
        room = min(worker.free_places, CLAIM)
        if self._more_are_queued and self._ended >= CLAIM // 2:
            room = min(room, self._ended)  # as many as have ended meanwhile
        self._ended = 0
        if not worker.ready or room <= 0:
            return
        owner = new_token()
        claimed = await self._store.claim(lease.executor, owner, worker.saga_types, room)
        self._more_are_queued = len(claimed) == room
        for saga in claimed:
            await worker.run(saga, owner, lease)

    async def _cancel(self) -> None:
        """Tell sagas that run here what was asked of another server."""
        for id, reason in await self._store.cancel_requests(self._worker.executor):
            self._worker.deliver_cancel(id, reason)

    async def _care(self) -> None:
        await self._give_back()
        await self._take_up_incompatible()
        if orphans := await self._store.release_orphans():
            log.warning("%d sagas of executors that were ended already are queued again.", orphans)
        if self._seconds() < self._suspicious_until and (lost := await self._store.requeue_lost_ends()):
            log.warning("The database has lost how %d sagas ended: they go on from what is still on record.", lost)
        for id, name, version in await self._store.queued_without_code():
            reason = f"no running server has code for {name} version {version}"
            await self._tell(id, f"{name}:{version}", SagaIncompatible(reason))
        for id, name, version, status in await self._store.ended_abnormally():
            reason = f"the workflow was ended outside Amends: DBOS says {status}"
            await self._tell(id, f"{name}:{version}", SagaTerminated(reason))

    async def _take_up_incompatible(self) -> None:
        """Stranded sagas that were not tried here yet, each once: executors whose code does not fit either leave
        them to others."""
        worker, lease, owner = self._worker, self._worker.lease, new_token()
        room = min(worker.free_places, CLAIM)
        if not (worker.ready and worker.tries_incompatible) or room <= 0:
            return
        claimed = await self._store.claim_incompatible(
            lease.executor, owner, worker.saga_types, room, worker.incompatible
        )
        for saga in claimed:
            await worker.run(saga, owner, lease)

    async def _give_back(self) -> None:
        """Sagas that are recorded as ours, but that we have not been running for two looks."""
        recorded = set(await self._store.recorded_running(self._worker.executor))
        missed = recorded - set(self._worker.running)
        for id, owner in sorted(missed & self._missed):
            log.warning("Saga %s is recorded as running here, but is not: it is queued again.", id)
            await self._store.release(id, self._worker.executor, owner)
        self._missed = missed

    async def _tell(self, id: str, saga_type: str, told: SagaIncompatible | SagaTerminated) -> None:
        cause = Cause(workflow_id=id, actor="amends", executor=self._worker.executor)
        event = new_amends_event(saga_histories.stream(id), told, cause)
        if await self._store.append_to_unowned(id, event, suspended_status(saga_type, told), sorted(FINISHED)):
            log_suspended(id, saga_type, told)
