"""The sagas of this process: started, run, taken over from the dead, and handed over at the end."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

from domain.errors import Conflict, NotFound, StaleVersion
from domain.event import Cause, event_type
from workflows.codec import digest, dump, load, text
from workflows.durable import runtime
from workflows.durable.journal import DurableJournal
from workflows.durable.lease import Lease, born, clock, machine
from workflows.durable.supervisor import Supervisor
from workflows.engine.execution import Execution
from workflows.ids import new_id
from workflows.ports import Claimed, Identity, NewEvent, Parked, Recording, SagaStore, Start, StartOutcome, StoredSaga
from workflows.problem import TurnedBack
from workflows.recording import compensated, recording_of
from workflows.saga import Saga
from workflows.story import Act, OperatorActed, SagaCompensating, SagaStarted, SagaStuck, stories

log = logging.getLogger("amends.engine")

TAKEOVERS = 20
"""How many executors in a row may die with a saga that makes no progress, before a person is asked. From the sixth on
it waits longer each time before it is run again (amends.release_sagas), so that it cannot kill one after the other."""
DRAIN_SECONDS = 10.0


@dataclass(frozen=True)
class Options:
    """How this process runs sagas: how long its lease is, in seconds, and how many sagas at a time."""

    lease: float = 5.0
    running: int = 1000


class Engine:
    """Runs sagas in this process. `sagas` are the ones that it has code for, older versions included."""

    def __init__(
        self,
        sagas: Sequence[Saga[Any, Any]],
        store: SagaStore,
        url: str,
        beat: Callable[[str, float], bool],
        lost: Callable[[], None],
        options: Options = Options(),
    ) -> None:
        self.sagas = {(saga.definition.name, saga.definition.version): saga for saga in sagas}
        self.store, self.options = store, options
        self.executor = f"{os.uname().nodename}-{os.getpid()}-{uuid4().hex[:8]}"
        self.running: dict[tuple[str, str], asyncio.Task[Any] | None] = {}
        self.draining = asyncio.Event()
        self.on_rest: Callable[[str], None] = lambda id: None
        self._fresh: set[str] = set()
        self._runtime = runtime.Runtime(url, self.executor)
        self._lease = Lease(options.lease, lambda: beat(self.executor, options.lease), lost)
        self._supervisor = Supervisor(self, store, self._lease)

    @property
    def kinds(self) -> list[str]:
        return [saga.definition.kind for saga in self.sagas.values()]

    @property
    def ready(self) -> bool:
        """Whether this executor may run sagas: its lease holds and it is not shutting down."""
        return self._lease.holds() and not self.draining.is_set()

    async def launch(self) -> None:
        """Register this executor, start DBOS in this event loop, and begin to take over what nobody runs."""
        self._runtime.create()
        for name in {name for name, _ in self.sagas}:
            self._runtime.bind(name, self._body(name))
        asked_at = clock()
        await self.store.register(
            self.executor, machine(), os.getpid(), born(os.getpid()), self.kinds, self.options.lease
        )
        self._lease.first(asked_at)
        self._runtime.launch()
        self._lease.start()
        await self.store.unstrand(self.kinds)
        self._supervisor.start()

    async def shut_down(self) -> None:
        """Begin nothing new, let running steps finish, hand over what is left, and stop DBOS. Once is enough."""
        if self.draining.is_set():
            return
        self.draining.set()
        await self._supervisor.stop()
        tasks = [task for task in self.running.values() if task]
        if tasks:
            await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
        for task in (left := [task for task in tasks if not task.done()]):
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        self._lease.stop()
        handed_over = await self.store.end([self.executor], "itself", False)
        if handed_over:
            log.info("%d sagas were handed over.", handed_over)
        await asyncio.to_thread(self._runtime.destroy)

    # -- what is asked of it from outside

    def definition(self, name: str) -> Saga[Any, Any]:
        """The newest version of a saga. Raises NotFound, listing those that there are."""
        versions = [version for known, version in self.sagas if known == name]
        if not versions:
            raise NotFound("workflow", name, f"There are: {', '.join(sorted({known for known, _ in self.sagas}))}.")
        return self.sagas[name, max(versions)]

    async def start(self, name: str, request: Any, id: str | None, cause: Cause) -> Started:
        """Start a saga with a request of its input type, once per id; the same id and request give the same answer.

        Raises NotFound for an unknown name, and Conflict if the id was used for something else.
        """
        saga = self.definition(name)
        definition, id = saga.definition, id or str(new_id())
        given, correlation = dump(request, definition.input), cause.correlation_id or id
        reference = saga.reference(request)
        told = SagaStarted(name, definition.version, reference, id, given)
        cause = Cause(correlation, cause.causation_id, cause.actor, id, None, cause.traceparent, self.executor)
        origin = {"version": definition.version, "root": id} | _origin(cause)
        owner = str(uuid4()) if self.ready and len(self.running) < self.options.running else None
        start = Start(
            id=id,
            name=name,
            version=definition.version,
            reference=reference,
            correlation_id=correlation,
            request=digest([name, given]),
            inputs=text({"positionalArgs": [given], "namedArgs": origin}),
            event=NewEvent(new_id(), stories.stream(id), event_type(told), dump(told, SagaStarted), cause),
            executor=self.executor if owner else None,
            owner=owner,
        )
        outcome = await self.store.start(start)
        if outcome is StartOutcome.TAKEN:
            raise Conflict("idempotency", f"The idempotency key {id!r} was used for another request. Use a new one.")
        if outcome is StartOutcome.STARTED and owner:
            self._fresh.add(id)
            await self.run(Claimed(id, name, start.inputs), owner)
        return Started(id, name, definition.version)

    async def act(self, id: str, act: Act, reason: str, cause: Cause, result: Any = None) -> None:
        """A person's decision about a stuck saga. Raises NotFound, or Conflict unless it is stuck."""
        while True:
            stored = await self.store.load(id)
            if stored is None:
                raise NotFound("workflow", id)
            stuck = next((event for _, event in reversed(stored.told) if isinstance(event, SagaStuck)), None)
            if stored.status != "stuck" or stuck is None:
                raise Conflict("status", f"Workflow {id} is {stored.status}, not stuck: there is nothing to {act}.")
            told = OperatorActed(act, reason, stuck.slot, stuck.compensation or stuck.step, result)
            event = NewEvent(new_id(), stories.stream(id), event_type(told), dump(told, OperatorActed), cause)
            back = any(isinstance(event, SagaCompensating) for _, event in stored.told)
            try:
                found = await self.store.act(
                    id, len(stored.told), ["stuck"], event, "compensating" if back else "running"
                )
            except StaleVersion:
                continue
            if found is not None:
                raise Conflict("status", f"Workflow {id} is {found}, not stuck: there is nothing to {act}.")
            self._supervisor.look()
            return

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
        async def body(given: Any, *, version: int, root: str, **origin: str) -> Any:
            id, owner = runtime.current_id(), runtime.current_owner()
            self.running[id, owner] = asyncio.current_task()
            try:
                return await self._live(name, version, root, given, origin, owner)
            except TurnedBack:
                raise
            except Exception:
                log.exception("Saga %s cannot run here for now; it is given back.", id)
                raise Parked from None
            finally:
                self.running.pop((id, owner), None)
                self._supervisor.ended()
                self.on_rest(id)

        return body

    async def _live(self, name: str, version: int, root: str, given: Any, origin: Mapping[str, str], owner: str) -> Any:
        """One life of a saga, from its recording on."""
        id = runtime.current_id()
        cause = Cause(workflow_id=id, executor=self.executor, **origin)
        recording, fork = await self._recording(id)
        identity = Identity(id, root, cause)
        journal = DurableJournal(identity, recording, owner, self.store, self._lease, self.draining)
        saga = self.sagas[name, version]
        execution = Execution(saga, journal)
        if fork:
            reference = saga.reference(load(given, saga.definition.input))
            told = SagaStarted(name, version, reference, root, given)
            await execution.chronicle.write(execution.chronicle.entry(told))
        return await execution.run(given)

    async def _recording(self, id: str) -> tuple[Recording, bool]:
        """What earlier lives recorded, and whether this is the first life of a fork that DBOS's tools made."""
        if id in self._fresh:
            self._fresh.discard(id)
            return Recording(), False
        stored = await self.store.load(id)
        fork = stored is None
        if stored is None:
            await self.store.adopt(id)
            stored = await self.store.load(id)
        assert stored is not None, f"{id} is neither a saga nor a fork of one"
        return _read(stored), fork


@dataclass(frozen=True)
class Started:
    """What a start answers, the first time and every time after."""

    id: str
    name: str
    version: int
    status: str = "running"


def _origin(cause: Cause) -> dict[str, str]:
    """What of a cause is kept in the workflow's input, for all its lives."""
    kept = ("correlation_id", "actor", "traceparent")
    return {name: value for name, value in asdict(cause).items() if name in kept and value is not None}


def _read(stored: StoredSaga) -> Recording:
    died = stored.takeovers
    exhausted = f"{died} executors died in a row while they ran this step" if died > TAKEOVERS else None
    redo = compensated(stored.undone)
    return recording_of(stored.checkpoints, stored.told, stored.status, redo, exhausted)
