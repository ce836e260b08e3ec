"""The execution log of a simulated saga: what it records is kept in memory, and time passes at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from domain.amends.event import Cause
from workflows.amends.bell import Bell
from workflows.amends.clocks import clock
from workflows.amends.history.replay_state import ReplayState
from workflows.amends.ports.execution_log import (
    Committed,
    Identity,
    StartRequest,
    StepCommit,
    StepTransaction,
    StreamMoved,
)
from workflows.amends.saga import Saga
from workflows.amends.simulation.memory.sagas import MemorySagas
from workflows.amends.start_request import start_request
from workflows.amends.values.codec import load
from workflows.amends.values.limits import Limits


class MemoryExecutionLog:
    """One execution of a saga that was claimed in memory.

    `tells` says whether it is told of a cancel while it runs, as by its own server; of another server's it learns when
    it reloads what is recorded.
    """

    def __init__(
        self,
        id: str,
        owner: str,
        sagas: MemorySagas,
        children: Sequence[Saga[Any, Any]],
        limits: Limits,
        tells: bool,
    ) -> None:
        self._id, self._owner, self._sagas = id, owner, sagas
        self._children, self.limits, self._tells = children, limits, tells
        self.bell, self.last_step_id = Bell(), 0
        cause = Cause(correlation_id=id, workflow_id=id)
        self.identity = Identity(id, id, cause, sagas.rows[id].parent)
        self.replay = replace(self._sagas.replay_state(self._id), started_at=sagas.rows[id].started_at)
        self._cancel = self.replay.cancel

    def cancel_reason(self) -> str | None:
        if self._tells and self._cancel is None:
            self._cancel = self._sagas.history(self._id).replay.cancel
        return self._cancel

    async def reload(self) -> ReplayState:
        again = self._sagas.replay_state(self._id)
        self._cancel = self._cancel or again.cancel
        return again

    def next_step_id(self) -> int:
        self.last_step_id += 1
        return self.last_step_id

    def now(self) -> datetime:
        return self._sagas.clock.now

    def seconds(self) -> float:
        return clock()

    def child_start_request(self, saga_type: str, given: JsonValue, id: str, cause: Cause) -> StartRequest:
        saga = next(saga for saga in self._children if saga.definition.saga_type == saga_type)
        return start_request(saga, load(given, saga.definition.input), given, id, cause, self.now(), self._id)

    async def commit(self, step_commit: StepCommit) -> Committed | StreamMoved:
        return self._sagas.write(self._id, self._owner, step_commit)

    def transaction(self) -> AbstractAsyncContextManager[StepTransaction]:
        return self._sagas.transaction(self._id, self._owner)

    async def may_call(self) -> None:
        return None

    async def pause(self, until: datetime) -> None:
        self._sagas.clock.reach(until)

    async def listen(self, seconds: float) -> bool:
        """An execution waits for its own code only, and that takes its real time."""
        return await self.bell.wait(seconds)
