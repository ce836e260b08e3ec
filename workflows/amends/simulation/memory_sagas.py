"""Sagas in memory, for tests in milliseconds: the store's port, without surviving and without other executors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from pydantic import JsonValue

from domain.amends.errors import NotFound, StaleVersion
from domain.amends.event import Cause
from workflows.amends.history import (
    FINISHED,
    Problem,
    SagaStuck,
    SignalReceived,
    Status,
    StepCompleted,
    StepSkipped,
    saga_histories,
)
from workflows.amends.history.events.children import ended, undone
from workflows.amends.history.replay_state import ReplayFold, ReplayState
from workflows.amends.ports.event_store import (
    FeedCursor,
    KeptAnswer,
    NewEvent,
    RepeatedRequest,
    record_own,
)
from workflows.amends.ports.execution_log import (
    Committed,
    CompensateChild,
    Fenced,
    ForeignStep,
    Missing,
    Stale,
    Start,
    StepCommit,
    StepTransaction,
    Taken,
)
from workflows.amends.ports.saga_store import Claimed, Standing, StartOutcome
from workflows.amends.simulation.memory_events import MemoryEvents
from workflows.amends.simulation.memory_rows import Clock, History, Row
from workflows.amends.simulation.memory_transaction import MemoryTransaction
from workflows.amends.values.codec import copied, dump


@dataclass
class MemorySagas:
    """The sagas of one test. Nobody else is there: an executor is always alive, and nothing is committed by others."""

    clock: Clock = field(default_factory=Clock)
    rows: dict[str, Row] = field(default_factory=dict)
    events: MemoryEvents = field(init=False)

    def __post_init__(self) -> None:
        self.events = MemoryEvents(lambda: self.clock.now)
        self._answers: dict[str, RepeatedRequest] = {}

    def history(self, id: str) -> History:
        """What happened to a saga so far."""
        row = self.rows.get(id)
        known = row.history if row else History()
        for stored in self.events.of(saga_histories.stream(id))[len(known.events) :]:
            known.read(stored)
        return known

    # -- started, claimed and run

    async def start(self, start: Start) -> StartOutcome:
        if known := self.rows.get(start.id):
            same = known.start.request == start.request
            return StartOutcome.REPEATED if same else StartOutcome.TAKEN
        self._start(start)
        return StartOutcome.STARTED

    def _start(self, start: Start, parent: str | None = None) -> None:
        self.events.write([start.event])
        deadline = self.clock.now + start.deadline if start.deadline else None
        row = Row(
            start, "running" if start.owner else "queued", self.clock.now, deadline, parent or start.parent, start.owner
        )
        row.is_queued = row.settled = start.owner is None
        self.rows[start.id] = row

    async def claim(self, executor: str, owner: str, saga_types: Sequence[str], limit: int) -> list[Claimed]:
        queued = [row for row in self.rows.values() if row.is_queued and row.saga_type in saga_types]
        return [self.run(row.start.id, owner) for row in queued[:limit]]

    def run(self, id: str, owner: str) -> Claimed:
        """Take a saga, whoever has it."""
        row = self.rows[id]
        row.is_queued, row.owner = False, owner
        row.was_settled, row.settled = row.settled, False
        row.status = "running" if row.status == "queued" else row.status
        return Claimed(id, row.start.name, row.start.inputs)

    async def load(self, id: str) -> ReplayState | None:
        return self.replay_state(id) if id in self.rows else None

    def replay_state(self, id: str) -> ReplayState:
        """The same at once."""
        row, fold = self.rows[id], ReplayFold()
        fold.add(self.history(id).events)
        fold.checkpoint(row.checkpoints.values())
        return fold.state(
            row.status,
            deadline_at=row.deadline_at,
            started_at=row.started_at,
            recovered=not row.was_settled,
            provider=row.provider,
        )

    async def commit(self, id: str, owner: str, step_commit: StepCommit) -> Committed | Stale:
        return self.write(id, owner, step_commit)

    def write(self, id: str, owner: str, step_commit: StepCommit) -> Committed | Stale:
        """The same at once."""
        checkpoint, start = step_commit.checkpoint, step_commit.start
        if step_commit.events and self.events.has(step_commit.events[0].id):
            return Committed()
        if (stale := self._stale(step_commit.expected)) is not None:
            return stale
        if start and (known := self.rows.get(start.id)) and known.start.request != start.request:
            raise Taken
        if (row := self.rows.get(id)) is None:
            raise Missing
        if row.owner != owner:
            raise Fenced
        if checkpoint and checkpoint.step_id in row.checkpoints:
            raise ForeignStep
        self.events.write(step_commit.events)
        if checkpoint:
            row.checkpoints[checkpoint.step_id] = checkpoint
        if step_commit.change:
            row.change(step_commit.change)
        if step_commit.suspend:
            row.owner, row.settled = None, row.settled or step_commit.settled
        self._tell_family(row, step_commit)
        return Committed()

    def _stale(self, expected: Mapping[str, int]) -> Stale | None:
        for stream, version in expected.items():
            if (actual := self.events.version(stream)) != version:
                return Stale(stream, version, actual)
        return None

    def transaction(self, id: str, owner: str) -> AbstractAsyncContextManager[StepTransaction]:
        return self._transaction(id, owner)

    @asynccontextmanager
    async def _transaction(self, id: str, owner: str) -> AsyncIterator[StepTransaction]:
        yield MemoryTransaction(self.events, partial(self._committed, id, owner))

    def _committed(self, id: str, owner: str, step_commit: StepCommit) -> Committed | Stale:
        """The commit of a transaction: a moment passes with it, as it does in a database."""
        self.clock.now += timedelta(milliseconds=1)
        return self.write(id, owner, step_commit)

    # -- parents and children

    def _tell_family(self, row: Row, step_commit: StepCommit) -> None:
        id = row.start.id
        if start := step_commit.start:
            if known := self.rows.get(start.id):
                known.parent = id
                if known.status in FINISHED:
                    self._tell_parent(start.id)
            else:
                self._start(start, id)
        elif step_commit.recall:
            self._compensate_child(id, step_commit.recall)
        elif step_commit.change and step_commit.change.status in FINISHED and row.parent:
            self._tell_parent(id)

    def _compensate_child(self, parent: str, wanted: CompensateChild) -> None:
        row = self.rows[wanted.saga]
        row.parent = parent
        if row.status == "compensated":
            self._tell_parent(wanted.saga)
            return
        self.events.write([wanted.event])
        rests = row.status in ("completed", "waiting", "stuck") or row.awaits_provider
        if rests and not self._is_compensating(wanted.saga):
            row.wake("running")

    def _tell_parent(self, id: str) -> None:
        """Tell how a child ended, and queue its parent if it waits for that."""
        row, history = self.rows[id], self.history(id)
        assert row.parent is not None
        payload: dict[str, JsonValue] = {"status": row.status}
        name = ended(id)
        if row.status == "completed":
            payload["result"] = history.fold.state().result
        else:
            error: JsonValue = dump(history.fold.state().error, Problem | None)
            payload |= {"reason": row.reason, "error": error}
            name = undone(id) if history.replay.completed else name
        event = record_own(saga_histories.stream(row.parent), SignalReceived(name, payload), Cause())
        if self.rows[row.parent].status not in FINISHED:
            self._signal(self.rows[row.parent], name, event)

    # -- what people want

    async def signal(
        self, id: str, signal: str, event: NewEvent, answer: KeptAnswer | None
    ) -> FeedCursor | Status | RepeatedRequest:
        if repeated := self._repeated(answer):
            return repeated
        row = self._row(id)
        if row.status in FINISHED:
            return row.status
        return self._kept(answer, self._signal(row, signal, event))

    def _signal(self, row: Row, signal: str, event: NewEvent) -> FeedCursor:
        cursor = self.events.write([event])
        if row.status in ("waiting", "compensating") and row.waiting_for == signal:
            row.wake("running" if row.status == "waiting" else row.status)
        return cursor

    async def cancel(
        self, id: str, pivots: Sequence[str], reason: str, event: NewEvent, answer: KeptAnswer | None
    ) -> FeedCursor | Status | RepeatedRequest | None:
        if repeated := self._repeated(answer):
            return repeated
        row = self._row(id)
        if row.status in FINISHED:
            return row.status
        done = (each for _, each in self.history(id).events if isinstance(each, StepCompleted | StepSkipped))
        if any(each.step in pivots for each in done):
            return None
        cursor = self.events.write([event])
        if not self._is_compensating(id) and (row.status in ("waiting", "stuck") or row.awaits_provider):
            row.wake("running")
        return self._kept(answer, cursor)

    async def standing(self, id: str) -> Standing | None:
        if id not in self.rows:
            return None
        version, stuck = self.history(id).last(SagaStuck) or (None, None)
        assert stuck is None or isinstance(stuck, SagaStuck)
        return Standing(self.rows[id].status, self._is_compensating(id), stuck, version)

    async def resume(
        self,
        id: str,
        stuck_at: int | None,
        allowed: Sequence[Status],
        event: NewEvent,
        status: Status,
        answer: KeptAnswer | None,
        cancel: str | None = None,
    ) -> FeedCursor | Status | RepeatedRequest:
        if repeated := self._repeated(answer):
            return repeated
        last = self.history(id).last(SagaStuck)
        if stuck_at is not None and stuck_at != (last and last[0]):
            raise StaleVersion(saga_histories.stream(id), stuck_at, -1)
        row = self._row(id)
        if row.status not in allowed:
            return row.status
        cursor = self.events.write([event])
        row.wake(status)
        return self._kept(answer, cursor)

    def _row(self, id: str) -> Row:
        if id not in self.rows:
            raise NotFound("workflow", id)
        return self.rows[id]

    def _is_compensating(self, id: str) -> bool:
        return self.history(id).replay.compensation is not None

    def _repeated(self, answer: KeptAnswer | None) -> RepeatedRequest | None:
        known = self._answers.get(answer.key) if answer else None
        return known and RepeatedRequest(known.digest, copied(known.body))

    def _kept(self, answer: KeptAnswer | None, cursor: FeedCursor) -> FeedCursor:
        if answer:
            self._answers[answer.key] = RepeatedRequest(answer.digest, copied(answer.body) | {"position": str(cursor)})
        return cursor
