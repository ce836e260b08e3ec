"""What the runtime runs for a saga: one execution of it, from what is on record until it ends or is suspended."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NoReturn

from structlog.contextvars import bind_contextvars

from domain.amends.event import Cause
from domain.amends.vocabulary import Unreadable
from workflows.amends.client import SagaClient
from workflows.amends.engine.execution import Execution
from workflows.amends.engine.suspension import suspended_status
from workflows.amends.engine.suspension_log import log_suspended
from workflows.amends.executor.execution_log import LeasedExecutionLog, ProcessContext
from workflows.amends.executor.runtime import Body, Runtime
from workflows.amends.executor.worker import RunningExecution, Worker
from workflows.amends.history import SagaIncompatible, SagaStarted, SagaStuck, saga_histories
from workflows.amends.history.replay_state import ReplayState
from workflows.amends.ports.event_store import new_amends_event
from workflows.amends.ports.execution_log import (
    Fenced,
    RecordLost,
    SagaIdentity,
    SagaMissing,
    StepCommit,
    Suspended,
    TurnedBack,
)
from workflows.amends.ports.saga_store import SagaStore
from workflows.amends.start_request import require_reference
from workflows.amends.values.codec import load
from workflows.amends.values.printable import error_message, error_repr, one_line

log = logging.getLogger("amends.engine")

FAILURES = 3
"""How often in a row a saga may fail by a fault of the engine before an operator is asked."""


@dataclass(frozen=True)
class SagaExecution:
    """One execution of a saga, as the runtime begins it."""

    name: str
    version: int
    identity: SagaIdentity
    owner: str
    underway: RunningExecution

    @property
    def id(self) -> str:
        return self.identity.id

    @property
    def saga_type(self) -> str:
        """Name and version in one word."""
        return f"{self.name}:{self.version}"


class Executions:
    """Makes the functions that the runtime runs; each begins an execution of the saga that the worker has claimed."""

    def __init__(
        self, client: SagaClient, store: SagaStore, worker: Worker, runtime: Runtime, surroundings: ProcessContext
    ) -> None:
        self._client, self._store, self._worker = client, store, worker
        self._runtime, self._around = runtime, surroundings
        self._failures: Counter[str] = Counter()

    def body(self, name: str) -> Body:
        """What the runtime runs for the sagas of a name."""

        async def execute(
            given: Any,
            *,
            version: int,
            root: str,
            started: str | None = None,
            parent: str | None = None,
            **origin: str,
        ) -> Any:
            id, owner = self._runtime.current_execution()
            underway = self._worker.note_execution_begun(id, owner)
            if underway is None:  # it knows nothing of what is settled
                await self._store.note_unclaimed_run(id)
                underway = self._worker.note_unclaimed_execution_begun(id, owner)
            cause = Cause(workflow_id=id, executor=underway.lease.executor, **origin)
            bind_contextvars(saga=id, saga_type=f"{name}:{version}", correlation=cause.correlation_id)
            execution = SagaExecution(name, version, SagaIdentity(id, root, cause, parent), owner, underway)
            return await self._ended(execution, given, started)

        return execute

    async def _ended(self, execution: SagaExecution, given: Any, started: str | None) -> Any:
        """The saga's result. Raises TurnedBack once it is compensated, Fenced, and Suspended for all other ends."""
        id, owner = execution.id, execution.owner
        try:
            execution.underway.lease.require_not_lost()
            result = await self._execute(execution, given, started)
        except TurnedBack:
            self._finished(execution)
            raise
        except (SagaMissing, RecordLost) as lost:
            await self._leave(execution, self._begin_anew(execution, lost))
        except (Fenced, Suspended, asyncio.CancelledError):
            self._worker.note_execution_ended(id, owner)
            raise
        except BaseException as error:
            await self._leave(execution, self._failed(execution, error))
        self._failures.pop(id, None)
        self._finished(execution)
        return result

    async def _leave(self, execution: SagaExecution, telling: Awaitable[None]) -> NoReturn:
        """Tell the store of an execution that cannot go on, and raise Suspended, whether that was told or not.

        The place is free also if this is cancelled; the supervisor gives back what nobody was told of.
        """
        try:
            await telling
        except Exception as error:
            log.info("What became of saga %s here is not on record: %s", execution.id, error_message(error))
        finally:
            self._worker.note_execution_ended(execution.id, execution.owner)
        raise Suspended from None

    def _finished(self, execution: SagaExecution) -> None:
        """The saga is finished; its place is free once the runtime has kept its outcome."""
        id, owner, task = execution.id, execution.owner, execution.underway.task
        self._worker.rests(id)
        assert task is not None
        task.add_done_callback(lambda _: self._worker.note_execution_ended(id, owner))

    async def _begin_anew(self, execution: SagaExecution, lost: SagaMissing | RecordLost) -> None:
        """The database has lost what this execution has written: the next one goes on from what it still has."""
        id = execution.id
        if isinstance(lost, SagaMissing):
            log.warning("Saga %s is not on record any more: the database has lost its start. Start it again.", id)
        else:
            log.warning("The database has lost commits of saga %s: it goes on from what is still on record.", id)
            await self._store.release(id, execution.underway.lease.executor, execution.owner)

    async def _failed(self, execution: SagaExecution, error: BaseException) -> None:
        """This engine cannot run a saga: it is tried again a few times, then an operator is asked. It is never
        ended."""
        id = execution.id
        self._failures[id] += 1
        if isinstance(error, Unreadable):
            event: SagaIncompatible | SagaStuck = SagaIncompatible(error_message(error))
        elif self._failures[id] < FAILURES:
            log.info("Saga %s cannot run here for now; it is given back.", id, exc_info=error)
            await self._store.release(id, execution.underway.lease.executor, execution.owner)
            return
        else:
            reason = f"a fault of the engine: {error_repr(error)}"
            event = SagaStuck(reason, 0)
            log.warning("Saga %s is stuck at the engine: %s", id, one_line(reason), exc_info=error)
        new = new_amends_event(saga_histories.stream(id), event, execution.identity.cause)
        change = suspended_status(execution.saga_type, event)
        await self._store.commit(id, execution.owner, StepCommit([new], change=change, suspend=True))
        if isinstance(event, SagaIncompatible):
            self._worker.note_incompatible(id)
            log_suspended(id, execution.saga_type, event)
        self._failures.pop(id, None)

    async def _execute(self, execution: SagaExecution, given: Any, started: str | None) -> Any:
        """Load what is recorded, and run the saga from there on."""
        underway, identity = execution.underway, execution.identity
        replay, fork = await self._replay(execution)
        if started:  # what now() says before the first step is recorded too
            replay = replace(replay, started_at=datetime.fromisoformat(started))

        async def reload() -> ReplayState:
            again, _ = await self._loaded(execution.id)
            return again

        execution_log = LeasedExecutionLog(
            identity, replay, execution.owner, underway.lease, self._around, reload, self._runtime.next_step_id
        )
        saga = self._client.sagas[execution.name, execution.version]
        underway.execution_log = execution_log
        running = Execution(saga, execution_log)
        if fork:
            request = load(given, saga.definition.input)
            told = SagaStarted(
                execution.name, execution.version, require_reference(saga, request), identity.root, given
            )
            await running.history.write(running.history.step_commit(told))
        return await running.run(given)

    async def _replay(self, execution: SagaExecution) -> tuple[ReplayState, bool]:
        """What earlier executions recorded, and whether this is the first one of a fork that DBOS's tools made."""
        if started := execution.underway.started:
            deadline = self._client.sagas[execution.name, execution.version].definition.deadline
            until = execution.underway.lease.clock.now() + deadline if deadline else None
            return ReplayState(deadline_at=until, last_event=started), False
        return await self._loaded(execution.id)

    async def _loaded(self, id: str) -> tuple[ReplayState, bool]:
        replay = await self._store.load_replay_state(id)
        fork = replay is None
        if replay is None:
            await self._store.adopt_fork(id)
            replay = await self._store.load_replay_state(id)
        if replay is None:  # neither a saga nor a fork of one: its start was lost after it had been claimed
            raise SagaMissing
        return replay, fork
