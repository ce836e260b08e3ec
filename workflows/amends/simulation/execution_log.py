"""One life of a saga on a stage: what it records is kept in memory, and time passes at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import JsonValue

from domain.amends.aggregate import Aggregate
from domain.amends.event import Cause
from workflows.amends.bell import Bell
from workflows.amends.history import saga_histories
from workflows.amends.history.replay_state import ReplayState, replay_state_of
from workflows.amends.ports.execution_log import (
    Committed,
    Identity,
    Interrupted,
    Stale,
    Start,
    StatusChange,
    StepCommit,
    Unit,
)
from workflows.amends.start_request import starting

if TYPE_CHECKING:
    from workflows.amends.simulation.simulation import Simulation

S = TypeVar("S")
E = TypeVar("E")


@dataclass
class Awaited:
    """A provider that a saga waits for; it is asked after a second, then ever later, and when the wait is over."""

    provider: str
    due: datetime
    asked: int = 0

    @classmethod
    def note(cls, known: dict[str, Awaited], id: str, change: StatusChange) -> None:
        """Take note of what a saga's new status says of that."""
        before = known.pop(id, None)
        if change.provider and change.due_at:
            known[id] = cls(change.provider, change.due_at, before.asked if before else 0)

    def again(self, now: datetime) -> datetime:
        """When it is asked again."""
        self.asked += 1
        return min(now + timedelta(seconds=2 ** min(self.asked - 1, 16)), self.due)


class MemoryExecutionLog:
    """One life of a saga on a stage."""

    def __init__(self, simulation: Simulation, id: str) -> None:
        self._simulation, self._id, self.last_step_id = simulation, id, 0
        self.limits, self.bell = simulation.limits, Bell()
        parent = simulation.parents.get(id)
        self.identity = Identity(id, id, Cause(correlation_id=id, workflow_id=id), parent)
        self.replay = self._recorded()
        self._cancel = self.replay.cancel

    def _recorded(self) -> ReplayState:
        simulation, id = self._simulation, self._id
        return replay_state_of(
            simulation.checkpoints[id].values(),
            simulation.told(id),
            simulation.status[id],
            deadline_at=simulation.deadline,
            started_at=simulation.store.of(saga_histories.stream(id))[0].recorded_at,
            recovered=simulation.lives[id] - 1 > simulation.settled.get(id, 0),
            provider=simulation.awaited[id].provider if id in simulation.awaited else None,
        )

    def cancelled(self) -> str | None:
        """A running saga is told at once by its engine; one that parks finds out as it does."""
        if self._simulation.tells:
            self._cancel = self._cancel or self._simulation.cancelled(self._id)
        return self._cancel

    async def reload(self) -> ReplayState:
        again = self._recorded()
        self._cancel = self._cancel or again.cancel
        return again

    def next_step_id(self) -> int:
        self.last_step_id += 1
        return self.last_step_id

    def now(self) -> datetime:
        return self._simulation.clock

    def order(self, saga_type: str, given: JsonValue, id: str, cause: Cause) -> Start:
        saga = next(saga for saga in self._simulation.sagas if saga.definition.saga_type == saga_type)
        return starting(saga, given, id, cause, self.now(), self._id)

    async def commit(self, step_commit: StepCommit) -> Committed | Stale:
        return self._simulation.commit(self._id, step_commit)

    def transaction(self) -> AbstractAsyncContextManager[Unit]:
        return self._unit()

    @asynccontextmanager
    async def _unit(self) -> AsyncIterator[Unit]:
        yield MemoryUnit(self._simulation, self._id)

    async def may_call(self) -> None:
        return None

    async def pause(self, until: datetime) -> None:
        self._simulation.clock = max(self._simulation.clock, until)

    async def listen(self, seconds: float) -> bool:
        """A life waits for its own code only, and that takes its real time."""
        return await self.bell.heard(seconds)


@dataclass
class MemoryUnit:
    """One transaction on a stage."""

    simulation: Simulation
    id: str
    interrupted: Interrupted | None = None

    async def load(self, aggregate: Aggregate[S, E], key: str) -> tuple[S, int]:
        events = self.simulation.events(aggregate, key)
        return aggregate.fold(events), len(events)

    async def execute(self, sql: str, parameters: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        raise NotImplementedError("a rehearsal has no database: test a step with SQL of its own on Postgres")

    async def commit(self, step_commit: StepCommit) -> Committed | Stale:
        self.simulation.clock += timedelta(milliseconds=1)
        return self.simulation.commit(self.id, step_commit)
