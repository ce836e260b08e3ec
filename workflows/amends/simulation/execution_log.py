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
from workflows.amends.engine.bell import Bell
from workflows.amends.history import stories
from workflows.amends.history.replay_state import recording_of
from workflows.amends.ports.execution_log import (
    Committed,
    Entry,
    Identity,
    Interrupted,
    Recording,
    Stale,
    Start,
    StatusChange,
    Unit,
)
from workflows.amends.start_request import starting

if TYPE_CHECKING:
    from workflows.amends.simulation.simulation import Stage

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


class MemoryJournal:
    """One life of a saga on a stage."""

    def __init__(self, stage: Stage, id: str) -> None:
        self._stage, self._id, self.last_slot = stage, id, 0
        self.limits, self.bell = stage.limits, Bell()
        parent = stage.parents.get(id)
        self.identity = Identity(id, id, Cause(correlation_id=id, workflow_id=id), parent)
        self.recording = self._recorded()
        self._cancel = self.recording.cancel

    def _recorded(self) -> Recording:
        stage, id = self._stage, self._id
        return recording_of(
            stage.checkpoints[id].values(),
            stage.told(id),
            stage.status[id],
            deadline_at=stage.deadline,
            started_at=stage.store.of(stories.stream(id))[0].recorded_at,
            recovered=stage.lives[id] - 1 > stage.settled.get(id, 0),
            provider=stage.awaited[id].provider if id in stage.awaited else None,
        )

    def cancelled(self) -> str | None:
        """A running saga is told at once by its engine; one that parks finds out as it does."""
        if self._stage.tells:
            self._cancel = self._cancel or self._stage.cancelled(self._id)
        return self._cancel

    async def reload(self) -> Recording:
        again = self._recorded()
        self._cancel = self._cancel or again.cancel
        return again

    def next_slot(self) -> int:
        self.last_slot += 1
        return self.last_slot

    def now(self) -> datetime:
        return self._stage.clock

    def order(self, kind: str, given: JsonValue, id: str, cause: Cause) -> Start:
        saga = next(saga for saga in self._stage.cast if saga.definition.kind == kind)
        return starting(saga, given, id, cause, self.now(), self._id)

    async def commit(self, entry: Entry) -> Committed | Stale:
        return self._stage.commit(self._id, entry)

    def transaction(self) -> AbstractAsyncContextManager[Unit]:
        return self._unit()

    @asynccontextmanager
    async def _unit(self) -> AsyncIterator[Unit]:
        yield MemoryUnit(self._stage, self._id)

    async def may_call(self) -> None:
        return None

    async def pause(self, until: datetime) -> None:
        self._stage.clock = max(self._stage.clock, until)

    async def listen(self, seconds: float) -> bool:
        """A life waits for its own code only, and that takes its real time."""
        return await self.bell.heard(seconds)


@dataclass
class MemoryUnit:
    """One transaction on a stage."""

    stage: Stage
    id: str
    interrupted: Interrupted | None = None

    async def load(self, aggregate: Aggregate[S, E], key: str) -> tuple[S, int]:
        events = self.stage.events(aggregate, key)
        return aggregate.fold(events), len(events)

    async def execute(self, sql: str, parameters: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        raise NotImplementedError("a rehearsal has no database: test a step with SQL of its own on Postgres")

    async def commit(self, entry: Entry) -> Committed | Stale:
        self.stage.clock += timedelta(milliseconds=1)
        return self.stage.commit(self.id, entry)
