"""The lives of sagas in one process: each from its recording on, until it ends, rests, or is somebody else's."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.amends.event import Cause
from domain.amends.vocabulary import Unreadable
from workflows.amends.dbos import runtime
from workflows.amends.dbos.client import SagaClient
from workflows.amends.dbos.execution_log import DbosExecutionLog
from workflows.amends.dbos.lease import Lease
from workflows.amends.engine.execution import Execution
from workflows.amends.engine.user_code.tasks import GuardedTask
from workflows.amends.history import EventLoopBlocked, SagaStarted, SagaStranded, SagaStuck, saga_histories
from workflows.amends.history.replay_state import Exhausted, ReplayState, compensated, replay_state_of
from workflows.amends.ports.event_store import record_own
from workflows.amends.ports.execution_log import (
    Fenced,
    Gone,
    Identity,
    Missing,
    StatusChange,
    StepCommit,
    Suspended,
    TurnedBack,
)
from workflows.amends.ports.saga_store import Claimed, SagaStore, StoredSaga
from workflows.amends.providers import Providers
from workflows.amends.start_request import reference
from workflows.amends.values.limits import Limits
from workflows.amends.values.said import named, one_line, said

log = logging.getLogger("amends.engine")

TAKEOVERS = 20
"""How many executors in a row may die with a saga that makes no progress, before a person is asked: where it goes on;
if one more dies on the way there, before `run` is run. From the sixth on it waits longer each time before it is
run again (amends.release_sagas), so that it cannot kill one after the other."""
LONG = 2000
"""So many events of a story are read beside the event loop, which other work needs meanwhile."""
_aside = ThreadPoolExecutor(1, "recordings")
GIVE_UP_SECONDS = 0.5
"""How often what does not end is cancelled once more."""
FAILURES = 3
"""How often in a row a saga may fail by a fault of the engine before a person is asked."""


@dataclass(frozen=True)
class Around:
    """What is around the sagas of a process: `look` has queued ones looked for, `rests` is told of every one that has
    come to rest, and `room` whenever one has left."""

    draining: asyncio.Event
    limits: Limits
    look: Callable[[], None]
    rests: Callable[[str], None]
    room: Callable[[], None]
    providers: Providers


class Executions:
    """`running` has a task for each saga that runs here, by its id and its owner; None until it has begun."""

    def __init__(self, saga_client: SagaClient, store: SagaStore, lease: Callable[[], Lease], around: Around) -> None:
        self._desk, self._store, self._lease, self._around = saga_client, store, lease, around
        self.running: dict[tuple[str, str], asyncio.Task[Any] | None] = {}
        self._under: dict[tuple[str, str], Lease] = {}
        self._loop = asyncio.get_running_loop()
        self._fresh: dict[str, UUID] = {}
        self._journals: dict[tuple[str, str], DbosExecutionLog] = {}
        self._failures: Counter[str] = Counter()

    def fresh(self, id: str, started: UUID) -> None:
        """A saga has just been started by this event: nothing else is on record that its first life had to read."""
        self._fresh[id] = started

    async def run(self, run: Callable[[Claimed, str], Any], claimed: Claimed, owner: str, lease: Lease) -> None:
        """Run a saga that was claimed under a lease; not if that was taken away meanwhile: then it is handed over.

        What cannot be started is given back by the supervisor.
        """
        if lease is not self._lease() or lease.gone:
            return
        self.running[claimed.id, owner], self._under[claimed.id, owner] = None, lease
        try:
            await run(claimed, owner)
        except Exception:
            log.exception("Saga %s could not be started here; it is given back.", claimed.id)
            self._under.pop((claimed.id, owner), None)
            self.running.pop((claimed.id, owner), None)

    async def give_up(self, in_threads: Callable[[], int]) -> None:
        """Return once nothing of any saga runs here any more: whatever does is cancelled, again and again.

        `in_threads` counts what code of sagas runs in threads, which nobody can cancel.
        """
        self._fresh.clear()
        tasks = {task for task in self.running.values() if task}
        while tasks or self.running or in_threads():
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=GIVE_UP_SECONDS)
            else:
                await asyncio.sleep(0.02)  # some begin only now, or run in threads
            tasks = {*self._tasks_of_sagas(), *(task for task in self.running.values() if task)}

    def names(self) -> list[str]:
        """What runs here of sagas, for a person."""
        return sorted({*(task.get_name() for task in self._tasks_of_sagas()), *(id for id, _ in self.running)})

    def _tasks_of_sagas(self) -> Iterator[asyncio.Task[Any]]:
        """Tasks of a team's code that have not ended, also those that the engine has left to themselves."""
        all = asyncio.all_tasks(self._loop)
        return (task for task in all if isinstance(task, GuardedTask) and task.saga is not None)

    # -- what is told to those that run here

    def stop(self) -> None:
        """This process is to end: whatever waits looks up."""
        for execution_log in self._journals.values():
            execution_log.bell.ring()

    def cancelled(self, id: str, reason: str) -> None:
        """Tell a saga, if it runs here, that it is to be cancelled."""
        for (known, _), execution_log in self._journals.items():
            if known == id:
                execution_log.cancel(reason)

    def blocked(self, id: str, event: EventLoopBlocked) -> None:
        """The watchdog has put on record that a saga blocked this event loop for longer than the lease."""
        for (known, _), execution_log in self._journals.items():
            if known == id:
                execution_log.blocked(event)

    # -- one life

    def body(self, name: str) -> runtime.Body:
        """What DBOS runs for the sagas of a name."""

        async def live(
            given: Any,
            *,
            version: int,
            root: str,
            started: str | None = None,
            parent: str | None = None,
            **origin: str,
        ) -> Any:
            id, owner, task = runtime.current_id(), runtime.current_owner(), asyncio.current_task()
            lease = self._under.pop((id, owner), None) or self._lease()
            if (id, owner) not in self.running:  # DBOS itself runs it, which knows nothing of what is settled
                await self._store.unsettle(id)
            self.running[id, owner] = task
            identity = Identity(id, root, Cause(workflow_id=id, executor=lease.executor, **origin), parent)
            try:
                lease.require()
                ended = await self._live(name, version, identity, given, started, owner, lease)
            except TurnedBack:
                self._over_with(task, id, owner)
                raise
            except (Missing, Gone) as lost:
                await self._begin_anew(id, owner, lost, lease)
                self._forget(id, owner)
                raise Suspended from None
            except (Fenced, Suspended, asyncio.CancelledError):
                self._forget(id, owner)
                raise
            except BaseException as error:
                await self._failed(identity, owner, error, lease)
                self._forget(id, owner)
                raise Suspended from None
            self._failures.pop(id, None)
            self._over_with(task, id, owner)
            return ended

        return live

    async def _begin_anew(self, id: str, owner: str, lost: Missing | Gone, lease: Lease) -> None:
        """The database has lost what this life has written: the next one goes on from what it still has."""
        if isinstance(lost, Missing):
            log.warning("Saga %s is not on record any more: the database has lost its start. Start it again.", id)
        else:
            log.warning("The database has lost commits of saga %s: it goes on from what is still on record.", id)
            await self._store.release(id, lease.executor, owner)

    async def _failed(self, identity: Identity, owner: str, error: BaseException, lease: Lease) -> None:
        """This engine cannot run a saga: it is tried again a few times, then a person is asked. It is never ended."""
        id = identity.id
        self._failures[id] += 1
        if isinstance(error, Unreadable):
            event: SagaStranded | SagaStuck = SagaStranded(said(error))
            change = StatusChange("stranded", said(error))
        elif self._failures[id] < FAILURES:
            log.info("Saga %s cannot run here for now; it is given back.", id, exc_info=error)
            await self._store.release(id, lease.executor, owner)
            return
        else:
            reason = f"a fault of the engine: {named(error)}"
            event, change = SagaStuck(reason, 0), StatusChange("stuck", reason)
            log.warning("Saga %s is stuck at the engine: %s", id, one_line(reason), exc_info=error)
        new = record_own(saga_histories.stream(id), event, identity.cause)
        await self._store.commit(id, owner, StepCommit([new], change=change, suspend=True))
        self._failures.pop(id, None)

    def _over_with(self, task: asyncio.Task[Any] | None, id: str, owner: str) -> None:
        """The saga is finished; it is off our hands once DBOS has written its outcome."""
        self._around.rests(id)
        assert task is not None
        task.add_done_callback(lambda _: self._forget(id, owner))

    def _forget(self, id: str, owner: str) -> None:
        self.running.pop((id, owner), None)
        self._journals.pop((id, owner), None)
        self._around.room()
        self._around.rests(id)

    async def _live(
        self,
        name: str,
        version: int,
        identity: Identity,
        given: Any,
        started: str | None,
        owner: str,
        lease: Lease,
    ) -> Any:
        """One life of a saga, from its recording on."""
        id = identity.id
        replay, fork = await self._replay(id, name, version)
        if started:  # what now() says before the first step is recorded too
            replay = replace(replay, started_at=datetime.fromisoformat(started))

        async def reload() -> ReplayState:
            again, _ = await self._replay(id, name, version)
            return again

        execution_log = DbosExecutionLog(
            identity,
            replay,
            owner,
            self._store,
            lease,
            self._around.draining,
            reload,
            self._desk.child,
            self._around.look,
            self._around.limits,
            self._around.providers,
        )
        saga = self._desk.sagas[name, version]
        self._journals[id, owner] = execution_log
        execution = Execution(saga, execution_log)
        if fork:
            told = SagaStarted(name, version, reference(saga, given), identity.root, given)
            await execution.history.write(execution.history.step_commit(told))
        return await execution.run(given)

    async def _replay(self, id: str, name: str, version: int) -> tuple[ReplayState, bool]:
        """What earlier lives recorded, and whether this is the first life of a fork that DBOS's tools made."""
        if started := self._fresh.pop(id, None):
            deadline = self._desk.sagas[name, version].definition.deadline
            until = self._lease().clock.now() + deadline if deadline else None
            return ReplayState(deadline_at=until, last_event=started), False
        stored = await self._store.load(id)
        fork = stored is None
        if stored is None:
            await self._store.adopt(id)
            stored = await self._store.load(id)
        if stored is None:  # neither a saga nor a fork of one: its start was lost after it had been claimed
            raise Missing
        if len(stored.told) > LONG:
            return await asyncio.get_running_loop().run_in_executor(_aside, _read, stored), fork
        return _read(stored), fork


def _read(stored: StoredSaga) -> ReplayState:
    died = stored.takeovers
    told = f"{died} executors died in a row while they ran this step"
    exhausted = Exhausted(told, died == TAKEOVERS + 1) if died > TAKEOVERS else None
    redo = compensated(stored.undone)
    return replay_state_of(
        stored.checkpoints,
        stored.told,
        stored.status,
        redo,
        exhausted,
        deadline_at=stored.deadline_at,
        recovered=not stored.settled,
        provider=stored.provider,
    )
