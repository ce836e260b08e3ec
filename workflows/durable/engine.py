"""The sagas of this process: started, run, taken over from the dead, and handed over at the end."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from domain.errors import AmendsError
from domain.event import Cause
from domain.vocabulary import Unreadable
from workflows.codec import load
from workflows.durable import runtime
from workflows.durable.desk import Desk, Started
from workflows.durable.journal import DurableJournal
from workflows.durable.lease import Lease, born, machine
from workflows.durable.store import Claimed, SagaStore, StoredSaga
from workflows.durable.supervisor import Supervisor
from workflows.engine.execution import Execution
from workflows.engine.marks import clock
from workflows.engine.user_code import hold_exits
from workflows.events import record_own
from workflows.limits import Limits
from workflows.ports import Entry, Exhausted, Fenced, Identity, Parked, Recording, StatusChange
from workflows.problem import TurnedBack
from workflows.recording import compensated, recording_of
from workflows.saga import Saga
from workflows.said import named, one_line, said
from workflows.story import EventLoopBlocked, SagaStarted, SagaStranded, SagaStuck, stories

log = logging.getLogger("amends.engine")

TAKEOVERS = 20
"""How many executors in a row may die with a saga that makes no progress, before a person is asked: where it goes on;
if one more dies on the way there, before `run` is run. From the sixth on it waits longer each time before it is
run again (amends.release_sagas), so that it cannot kill one after the other."""
DRAIN_SECONDS = 10.0
"""How long running steps may take to finish when this process is asked to stop."""
HAND_OVER_SECONDS = 0.2
"""How often what has stopped meanwhile is handed over."""
LAST_SECONDS = 1.0
"""How long what was cancelled is waited for then."""
FAILURES = 3
"""How often in a row a saga may fail by a fault of the engine before a person is asked."""


@dataclass(frozen=True)
class Options:
    """How this process runs sagas: how long its lease is, in seconds, how many run at a time, how large values are."""

    lease: float = 5.0
    running: int = 1000
    limits: Limits = Limits()


class Engine:
    """Runs sagas in this process. `sagas` are the ones that it has code for, older versions included."""

    def __init__(
        self,
        sagas: Sequence[Saga[Any, Any]],
        store: SagaStore,
        url: str,
        beat: Callable[[str, float], datetime | None],
        lost: Callable[[], None],
        options: Options = Options(),
    ) -> None:
        self.store, self.options = store, options
        self.executor = f"{os.uname().nodename}-{os.getpid()}-{uuid4().hex[:8]}"
        self.running: dict[tuple[str, str], asyncio.Task[Any] | None] = {}
        self.draining = asyncio.Event()
        self.on_rest: Callable[[str], None] = _nothing
        self._fresh: set[str] = set()
        self._journals: dict[tuple[str, str], DurableJournal] = {}
        self._runtime = runtime.Runtime(url, self.executor)
        self._lease = Lease(options.lease, lambda: beat(self.executor, options.lease), lost)
        self.desk = Desk(sagas, store, self._lease.clock.now, options.limits)
        self._supervisor = Supervisor(self, store, self._lease)
        self._failures: Counter[str] = Counter()

    @property
    def kinds(self) -> list[str]:
        return [saga.definition.kind for saga in self.desk.sagas.values()]

    @property
    def ready(self) -> bool:
        """Whether this executor may run sagas: its lease holds and it is not shutting down."""
        return self._lease.holds() and not self.draining.is_set()

    async def launch(self) -> None:
        """Register this executor, start DBOS in this event loop, and begin to take over what nobody runs."""
        self._runtime.create()
        for name in {name for name, _ in self.desk.sagas}:
            self._runtime.bind(name, self._body(name))
        hold_exits()
        asked_at = clock()
        told = await self.store.register(
            self.executor, machine(), os.getpid(), born(os.getpid()), self.kinds, self.options.lease
        )
        self._lease.first(asked_at, told)
        self._runtime.launch()
        self._lease.start()
        await self.store.unstrand(self.kinds)
        self._supervisor.start()

    async def shut_down(self) -> None:
        """Begin nothing new, let running steps finish, hand over what is left, and stop DBOS. Once is enough.

        What has stopped is handed over at once: others go on with it while some step takes its time here. A step that
        does not end after ten seconds is left to itself.
        """
        if self.draining.is_set():
            return
        self.draining.set()
        for journal in self._journals.values():
            journal.bell.ring()
        await self._supervisor.stop()
        await self._drain()
        self._lease.stop()
        handed_over = await self.store.end([self.executor], "itself", False)
        log.info("This executor has ended; %d sagas were handed over with that.", handed_over)
        await asyncio.to_thread(self._runtime.destroy)

    async def _drain(self) -> None:
        """Return once nothing runs any more, or after ten seconds; hand over meanwhile what has stopped."""
        until = clock() + DRAIN_SECONDS
        left = {task for task in self.running.values() if task}
        while left and (seconds := until - clock()) > 0:
            ended, left = await asyncio.wait(left, timeout=min(HAND_OVER_SECONDS, seconds))
            if ended and left:
                await self._hand_over()
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=LAST_SECONDS)

    async def _hand_over(self) -> None:
        still = [id for (id, _), task in self.running.items() if task and not task.done()]
        try:
            count = await self.store.hand_over(self.executor, still)
        except AmendsError as away:
            log.info("What has stopped is handed over later: %s", away)
        else:
            log.info("%d sagas were handed over; %d still run here.", count, len(still))

    # -- what is asked of it from outside

    async def start(self, name: str, request: Any, id: str | None, cause: Cause) -> Started:
        """Start a saga here, or queue it if this executor is full; see Desk.start."""
        order = self.desk.order(name, request, id, replace(cause, executor=self.executor))
        owner = str(uuid4()) if self.ready and len(self.running) < self.options.running else None
        if owner:
            order = replace(order, executor=self.executor, owner=owner)
        started, new = await self.desk.start(order)
        if new and owner:
            self._fresh.add(order.id)
            await self.run(Claimed(order.id, name, order.inputs), owner)
        return started

    def look(self) -> None:
        """Something was queued: take it now."""
        self._supervisor.look()

    def cancel(self, id: str, reason: str) -> None:
        """Somebody wants a saga cancelled: tell it if it runs here, and look for it if it does not."""
        self.cancelled(id, reason)
        self.look()

    def cancelled(self, id: str, reason: str) -> None:
        """Tell a saga, if it runs here, that it is to be cancelled."""
        for (known, _), journal in self._journals.items():
            if known == id:
                journal.cancel(reason)

    def blocked(self, id: str, event: EventLoopBlocked) -> None:
        """The watchdog has put on record that a saga blocked this event loop for longer than the lease."""
        for (known, _), journal in self._journals.items():
            if known == id:
                journal.blocked(event)

    # -- running

    async def run(self, claimed: Claimed, owner: str) -> None:
        """Run a saga that this executor has claimed. What cannot be started is given back by the supervisor."""
        self.running[claimed.id, owner] = None
        try:
            await self._runtime.run(claimed, owner)
        except Exception:
            log.exception("Saga %s could not be started here; it is given back.", claimed.id)
            self.running.pop((claimed.id, owner), None)

    def _body(self, name: str) -> runtime.Body:
        async def body(
            given: Any,
            *,
            version: int,
            root: str,
            started: str | None = None,
            parent: str | None = None,
            **origin: str,
        ) -> Any:
            id, owner, task = runtime.current_id(), runtime.current_owner(), asyncio.current_task()
            self.running[id, owner] = task
            identity = Identity(id, root, Cause(workflow_id=id, executor=self.executor, **origin), parent)
            try:
                ended = await self._live(name, version, identity, given, started, owner)
            except TurnedBack:
                self._over_with(task, id, owner)
                raise
            except (Fenced, Parked, asyncio.CancelledError):
                self._forget(id, owner)
                raise
            except BaseException as error:
                await self._failed(identity, owner, error)
                self._forget(id, owner)
                raise Parked from None
            self._failures.pop(id, None)
            self._over_with(task, id, owner)
            return ended

        return body

    async def _failed(self, identity: Identity, owner: str, error: BaseException) -> None:
        """This engine cannot run a saga: it is tried again a few times, then a person is asked. It is never ended."""
        id = identity.id
        self._failures[id] += 1
        if isinstance(error, Unreadable):
            event: SagaStranded | SagaStuck = SagaStranded(said(error))
            change = StatusChange("stranded", said(error))
        elif self._failures[id] < FAILURES:
            log.info("Saga %s cannot run here for now; it is given back.", id, exc_info=error)
            await self.store.release(id, self.executor, owner)
            return
        else:
            reason = f"a fault of the engine: {named(error)}"
            event, change = SagaStuck(reason, 0), StatusChange("stuck", reason)
            log.warning("Saga %s is stuck at the engine: %s", id, one_line(reason), exc_info=error)
        new = record_own(stories.stream(id), event, identity.cause)
        await self.store.commit(id, owner, Entry([new], change=change, park=True))
        self._failures.pop(id, None)

    def _over_with(self, task: asyncio.Task[Any] | None, id: str, owner: str) -> None:
        """The saga is finished; it is off our hands once DBOS has written its outcome."""
        self.on_rest(id)
        assert task is not None
        task.add_done_callback(lambda _: self._forget(id, owner))

    def _forget(self, id: str, owner: str) -> None:
        self.running.pop((id, owner), None)
        self._journals.pop((id, owner), None)
        self._supervisor.ended()
        self.on_rest(id)

    async def _live(
        self,
        name: str,
        version: int,
        identity: Identity,
        given: Any,
        started: str | None,
        owner: str,
    ) -> Any:
        """One life of a saga, from its recording on."""
        id = identity.id
        recording, fork = await self._recording(id, name, version)
        if started:  # what now() says before the first step is recorded too
            recording = replace(recording, started_at=datetime.fromisoformat(started))

        async def reload() -> Recording:
            again, _ = await self._recording(id, name, version)
            return again

        journal = DurableJournal(
            identity,
            recording,
            owner,
            self.store,
            self._lease,
            self.draining,
            reload,
            self.desk.child,
            self.look,
            self.options.limits,
        )
        saga = self.desk.sagas[name, version]
        self._journals[id, owner] = journal
        execution = Execution(saga, journal)
        if fork:
            reference = saga.reference(load(given, saga.definition.input))
            told = SagaStarted(name, version, reference, identity.root, given)
            await execution.chronicle.write(execution.chronicle.entry(told))
        return await execution.run(given)

    async def _recording(self, id: str, name: str, version: int) -> tuple[Recording, bool]:
        """What earlier lives recorded, and whether this is the first life of a fork that DBOS's tools made."""
        if id in self._fresh:
            self._fresh.discard(id)
            deadline = self.desk.sagas[name, version].definition.deadline
            return Recording(deadline_at=self._lease.clock.now() + deadline if deadline else None), False
        stored = await self.store.load(id)
        fork = stored is None
        if stored is None:
            await self.store.adopt(id)
            stored = await self.store.load(id)
        assert stored is not None, f"{id} is neither a saga nor a fork of one"
        return _read(stored), fork


def _nothing(_: object) -> None:
    """Nobody listens."""


def _read(stored: StoredSaga) -> Recording:
    died = stored.takeovers
    told = f"{died} executors died in a row while they ran this step"
    exhausted = Exhausted(told, died == TAKEOVERS + 1) if died > TAKEOVERS else None
    redo = compensated(stored.undone)
    return recording_of(
        stored.checkpoints,
        stored.told,
        stored.status,
        redo,
        exhausted,
        deadline_at=stored.deadline_at,
        recovered=stored.lives > 1,
    )
