"""The sagas that run in this process: each under a lease, as many at a time as there are places, until given up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from workflows.amends.engine.user_code.tasks import GuardedTask
from workflows.amends.executor.execution_log import LeasedExecutionLog
from workflows.amends.executor.executor import Executor
from workflows.amends.executor.lease import Lease
from workflows.amends.history import EventLoopBlocked
from workflows.amends.ports.saga_store import ClaimedSaga

log = logging.getLogger("amends.engine")

GIVE_UP_SECONDS = 0.5
"""How often what does not end is cancelled once more."""
MOST_INCOMPATIBLE = 20_000
"""So many sagas whose records do not fit are remembered; after them this process tries none any more."""

Key = tuple[str, str]
"""A saga's id and the token of its owner: of one saga there may be an old execution that has not ended yet."""


@dataclass(eq=False)
class RunningExecution:
    """One execution of a saga in this process.

    `task` and `execution_log` are None until it has begun. `started` is the event that has just started the saga, if
    one has: then nothing else is on record.
    """

    lease: Lease
    started: UUID | None = None
    task: asyncio.Task[object] | None = None
    execution_log: LeasedExecutionLog | None = None


class Worker:
    """Runs sagas that were claimed. `run` hands one to the runtime, which begins it; `places` bounds how many.

    `has_room` is called whenever one has left, `was_queued` when one that runs here has queued another, `rests` with
    the id of each that comes to rest.
    """

    def __init__(
        self,
        executor: Executor,
        saga_types: Sequence[str],
        places: int,
        run: Callable[[ClaimedSaga, str], Awaitable[None]],
    ) -> None:
        self._executor, self.saga_types, self._places, self._run = executor, saga_types, places, run
        self._loop = asyncio.get_running_loop()
        self.draining = asyncio.Event()
        self.running: dict[Key, RunningExecution] = {}
        self._probing: set[Key] = set()
        self._incompatible: dict[str, None] = {}
        self.has_room: Callable[[], None] = _nothing
        self.was_queued: Callable[[], None] = _nothing
        self.rests: Callable[[str], None] = _nothing

    @property
    def executor(self) -> str:
        """The id of this executor; another one after its lease was taken away."""
        return self._executor.id

    @property
    def lease(self) -> Lease:
        """The lease of this executor, which goes with its id."""
        return self._executor.lease

    @property
    def ready(self) -> bool:
        """Whether this executor may run sagas: its lease holds and it is not shutting down."""
        return self.lease.is_held() and not self.draining.is_set()

    @property
    def free_places(self) -> int:
        """How many places are free; who only asks whether a provider is back takes none."""
        return self._places - len(self.running) + len(self._probing)

    @property
    def incompatible(self) -> list[str]:
        """The sagas whose records did not fit the code here: others may have code that fits."""
        return list(self._incompatible)

    @property
    def tries_incompatible(self) -> bool:
        """Whether stranded sagas are tried here."""
        return len(self._incompatible) < MOST_INCOMPATIBLE

    def note_incompatible(self, id: str) -> None:
        """Take note that the record of a saga does not fit the code here."""
        if self.tries_incompatible:
            self._incompatible[id] = None
            if not self.tries_incompatible:
                log.warning("The code here fits the records of %d sagas no more: no more are tried.", MOST_INCOMPATIBLE)

    async def run(
        self, claimed: ClaimedSaga, owner: str, lease: Lease, started: UUID | None = None, probing: bool = False
    ) -> None:
        """Run a saga that was claimed under a lease; not if that was taken away meanwhile: then it is handed over.

        What cannot be started is given back by the supervisor. `started` is the event that has just started the saga;
        one that is `probing` runs only to see whether a provider is back, and takes nobody's place.
        """
        if lease is not self.lease or lease.gone:
            return
        key = claimed.id, owner
        self.running[key] = RunningExecution(lease, started)
        if probing:
            self._probing.add(key)
        try:
            await self._run(claimed, owner)
        except Exception:
            log.exception("Saga %s could not be started here; it is given back.", claimed.id)
            self._forget(key)

    def note_execution_begun(self, id: str, owner: str) -> RunningExecution | None:
        """Take note that an execution has begun, in the task that asks; None if the runtime began it by itself."""
        known = self.running.get((id, owner))
        if known is not None:
            known.task = asyncio.current_task()
        return known

    def note_unclaimed_execution_begun(self, id: str, owner: str) -> RunningExecution:
        """Take note of an execution that the runtime began without this worker."""
        self.running[id, owner] = made = RunningExecution(self.lease, task=asyncio.current_task())
        return made

    def note_execution_ended(self, id: str, owner: str) -> None:
        """Forget an execution: its place is free."""
        self._forget((id, owner))
        self.has_room()
        self.rests(id)

    def _forget(self, key: Key) -> None:
        self.running.pop(key, None)
        self._probing.discard(key)

    # -- what all of them are told

    def wake_all(self) -> None:
        """Let whatever waits look up: this process is to end."""
        for execution_log in self._execution_logs():
            execution_log.waker.wake()

    def deliver_cancel(self, id: str, reason: str) -> None:
        """Tell a saga, if it runs here, that it is to be cancelled."""
        for execution_log in self._execution_logs(id):
            execution_log.note_cancel(reason)

    def deliver_blocked(self, id: str, event: EventLoopBlocked) -> None:
        """Tell a saga, if it runs here, that the watchdog has put on record that it blocked this event loop."""
        for execution_log in self._execution_logs(id):
            execution_log.note_blocked(event)

    def _execution_logs(self, id: str | None = None) -> list[LeasedExecutionLog]:
        running = self.running.items()
        return [each.execution_log for (known, _), each in running if each.execution_log and id in (None, known)]

    # -- when the lease was taken away, or at the end

    def tasks(self) -> list[asyncio.Task[object]]:
        """The tasks of the executions that have begun, in the order of their claims."""
        return [each.task for each in self.running.values() if each.task]

    async def cancel_until_ended(self, in_threads: Callable[[], int]) -> None:
        """Return once nothing of any saga runs here any more: whatever does is cancelled, again and again.

        `in_threads` counts what code of sagas runs in threads, which nobody can cancel.
        """
        tasks = self.tasks()
        while tasks or self.running or in_threads():
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=GIVE_UP_SECONDS)
            else:
                await asyncio.sleep(0.02)  # some begin only now, or run in threads
            found = dict.fromkeys((*self._tasks_of_sagas(), *self.tasks()))
            tasks = [each for each in found if not each.done()]

    def running_names(self) -> list[str]:
        """What runs here of sagas, for a person."""
        return sorted({*(task.get_name() for task in self._tasks_of_sagas()), *(id for id, _ in self.running)})

    def _tasks_of_sagas(self) -> Iterator[asyncio.Task[object]]:
        """Tasks of a team's code that have not ended, also those that the engine has left to themselves."""
        tasks = sorted(asyncio.all_tasks(self._loop), key=asyncio.Task.get_name)
        return (task for task in tasks if isinstance(task, GuardedTask) and task.saga is not None)


def _nothing(*_: object) -> None:
    """The default of a callback that nobody has set."""
