"""The sagas of this process: started, run, taken over from the dead, and handed over at the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from domain.amends.errors import AmendsError
from domain.amends.event import Cause
from workflows.amends.client import SagaClient, StartAnswer
from workflows.amends.clocks import Clocks
from workflows.amends.engine.steps.argument_shapes import ArgumentShapes, no_shapes
from workflows.amends.engine.user_code.tasks import guard_tasks
from workflows.amends.executor.execution_log import ProcessContext
from workflows.amends.executor.executions import Executions
from workflows.amends.executor.executor import Executor
from workflows.amends.executor.held.brake_watch import BrakeWatch
from workflows.amends.executor.held.provider_waiters import ProviderWaiters
from workflows.amends.executor.lease import Lease, LeaseKeeper
from workflows.amends.executor.process import Process
from workflows.amends.executor.runtime import Runtime
from workflows.amends.executor.saga_counts import SagaCounts
from workflows.amends.executor.supervisor import Supervisor
from workflows.amends.executor.worker import Key, RunningExecution, Worker
from workflows.amends.history import EventLoopBlocked
from workflows.amends.ids import new_token
from workflows.amends.ports.saga_store import ClaimedSaga, SagaStore
from workflows.amends.providers import Providers
from workflows.amends.saga import Saga
from workflows.amends.values.limits import Limits

log = logging.getLogger("amends.engine")

DRAIN_SECONDS = 10.0
"""How long running steps may take to finish when this process is asked to stop."""
HAND_OVER_SECONDS = 0.2
"""How often what has stopped meanwhile is handed over."""
LAST_SECONDS = 1.0
"""How long what was cancelled is waited for then."""
STOP_SECONDS = 14.0
"""So long after it was asked to stop this process may still hand over what ran here: all of it has 18 s."""


@dataclass(frozen=True)
class Options:
    """How this process runs sagas: how long its lease is, in seconds, how many run at a time, how large values are."""

    lease: float = 5.0
    running: int = 1000
    limits: Limits = Limits()


class Engine:
    """Runs sagas in this process. `sagas` are the ones that it has code for, older versions included.

    `keeper` makes what renews a lease, and calls a function in the event loop when that was taken away.
    """

    def __init__(
        self,
        sagas: Sequence[Saga[Any, Any]],
        store: SagaStore,
        runtime: Runtime,
        keeper: Callable[[Lease, Callable[[], None]], LeaseKeeper],
        process: Process,
        options: Options = Options(),
        providers: Providers | None = None,
        clocks: Clocks = Clocks(),
        argument_shapes: ArgumentShapes = no_shapes,
    ) -> None:
        self.store, self.options, self._runtime, self._seconds = store, options, runtime, clocks.seconds
        self.argument_shapes = argument_shapes
        self._providers = providers = providers or Providers(clocks=clocks)
        self._executor = Executor(store, options.lease, process, clocks, keeper, self._give_up)
        self.saga_client = SagaClient(sagas, store, self._executor.clock.now, options.limits)
        self._executor.became.append(runtime.change_executor)
        runtime.change_executor(self.executor)
        saga_types = [saga.definition.saga_type for saga in sagas]
        self.worker = worker = Worker(self._executor, saga_types, options.running, runtime.run)
        self.on_inactive: Callable[[str], None] = _nothing
        """Called with the id of each saga that comes to rest here."""
        worker.rests = lambda saga: self.on_inactive(saga)
        self._supervisor = Supervisor(worker, store, process.is_gone, clocks.seconds)
        self.counts = SagaCounts()
        """What this process has started and ended."""
        for saga in sagas:
            self.counts.add_types(saga.definition.name, saga.definition.version)
        self._waiters = ProviderWaiters(worker, store, providers, clocks.seconds)
        self._brake_watch = BrakeWatch(worker, store, clocks.seconds)
        around = ProcessContext(
            store,
            self.saga_client.child_start_request,
            worker.draining,
            worker.was_queued,
            options.limits,
            providers,
            argument_shapes,
            self._brake_watch.brakes,
            worker.note_incompatible,
            self.counts,
        )
        self._executions = Executions(self.saga_client, store, worker, runtime, around)

    @property
    def executor(self) -> str:
        """The id of this executor; another one after its lease was taken away."""
        return self._executor.id

    @property
    def lease(self) -> Lease:
        """The lease of this executor, which goes with its id."""
        return self._executor.lease

    @property
    def on_new_executor(self) -> list[Callable[[str], None]]:
        """Who is told when this process goes on as a new executor."""
        return self._executor.became

    @property
    def draining(self) -> asyncio.Event:
        """Set once this process is to end."""
        return self.worker.draining

    @property
    def running(self) -> Mapping[Key, RunningExecution]:
        """What runs here."""
        return self.worker.running

    @property
    def ready(self) -> bool:
        """Whether this executor may run sagas: its lease holds and it is not shutting down."""
        return self.worker.ready

    async def launch(self) -> None:
        """Register this executor, start the runtime here, and begin to take over what nobody runs."""
        self._runtime.bind_bodies({name: self._executions.body(name) for name, _ in self.saga_client.sagas})
        guard_tasks()
        await self._executor.begin(self.worker.saga_types)
        self._runtime.launch()
        await self._brake_watch.start()
        await self._waiters.start()
        self._supervisor.start()

    async def shut_down(self) -> None:
        """Begin nothing new, let running steps finish, hand over what is left, and stop the runtime. Once is enough.

        What has stopped is handed over at once: others go on with it while some step takes its time here. A step that
        does not end after ten seconds is left to itself.
        """
        if self.draining.is_set():
            return
        until = self._seconds() + STOP_SECONDS
        self.draining.set()
        self._executor.leave()
        self.worker.wake_all()
        await self._supervisor.stop()
        await self._waiters.stop()
        await self._brake_watch.stop()
        await self._drain()
        self._executor.stop()
        await self._end(until - self._seconds())
        await self._runtime.stop()

    async def _end(self, patience: float) -> None:
        """End this executor, and hand over what is left, if the database answers in so many seconds."""
        try:
            handed_over = await self.store.end_executors([self.executor], "itself", False, patience)
        except AmendsError:
            log.warning(
                "The database does not answer: this executor ends without handing over what ran here. Once it answers "
                "again others go on with that, when they see that this process is gone or that its lease is over."
            )
        else:
            log.info("This executor has ended; %d sagas were handed over with that.", handed_over)

    async def _drain(self) -> None:
        """Return once nothing runs any more, or after ten seconds; hand over meanwhile what has stopped."""
        until = self._seconds() + DRAIN_SECONDS
        left = self.worker.tasks()
        while left and (seconds := until - self._seconds()) > 0:
            ended, _ = await asyncio.wait(left, timeout=min(HAND_OVER_SECONDS, seconds))
            left = [task for task in left if task not in ended]
            if ended and left:
                await self._hand_over()
        if left:
            with self._providers.cut_off():
                for task in left:
                    task.cancel()
                await asyncio.wait(left, timeout=LAST_SECONDS)

    async def _hand_over(self) -> None:
        still = [id for (id, _), each in self.running.items() if each.task and not each.task.done()]
        try:
            count = await self.store.hand_over(self.executor, still)
        except AmendsError as away:
            log.info("What has stopped is handed over later: %s", away)
        else:
            log.info("%d sagas were handed over; %d still run here.", count, len(still))

    # -- when its lease was taken away

    async def _give_up(self) -> None:
        with self._providers.cut_off():
            await self.worker.cancel_until_ended(lambda: self._runtime.busy_saga_threads)

    # -- what is asked of it from outside

    async def start(self, saga: Saga[Any, Any], request: Any, id: str | None, cause: Cause) -> StartAnswer:
        """Start a saga here, or queue it if this executor is full; see SagaClient.start."""
        worker, lease = self.worker, self.lease
        order = self.saga_client.start_request(saga, request, id, replace(cause, executor=lease.executor))
        owner = new_token() if worker.ready and worker.free_places > 0 else None
        if owner:
            order = replace(order, executor=lease.executor, owner=owner)
        started, new = await self.saga_client.start(order)
        if new:
            self.counts.note_start(order.name, order.version)
        if new and owner and started.status == "running":
            await worker.run(ClaimedSaga(order.id, order.name, order.inputs), owner, lease, order.event.id)
        return started

    async def suspect_losses(self) -> None:
        """Another run of the database server answers: it may have lost commits."""
        self._supervisor.suspect_losses()

    def request_queue_check(self) -> None:
        """Something was queued: take it now."""
        self._supervisor.request_queue_check()

    def look_at_brakes(self) -> None:
        """A brake was set or lifted here: know it now."""
        self._brake_watch.look()

    def cancel(self, id: str, reason: str) -> None:
        """Somebody wants a saga cancelled: tell it if it runs here, and look for it if it does not."""
        self.deliver_cancel(id, reason)
        self.request_queue_check()

    def deliver_cancel(self, id: str, reason: str) -> None:
        """Tell a saga, if it runs here, that it is to be cancelled."""
        self.worker.deliver_cancel(id, reason)

    def deliver_blocked(self, id: str, event: EventLoopBlocked) -> None:
        """The watchdog has put on record that a saga blocked this event loop for longer than the lease."""
        self.worker.deliver_blocked(id, event)


def _nothing(_: object) -> None:
    """The default of a callback that nobody has set."""
