"""The saga store in memory, for tests in milliseconds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from domain.amends.errors import NotFound, StaleVersion
from domain.amends.event import event_type
from workflows.amends.history import FINISHED, SagaStuck, Status, StepCompleted, StepSkipped, saga_histories
from workflows.amends.history.replay_state import ReplayState
from workflows.amends.ports.event_store import (
    FeedCursor,
    NewEvent,
    RepeatedRequest,
    StoredAnswer,
    StoredEvent,
    load_event_json,
)
from workflows.amends.ports.execution_log import Committed, StartRequest, StepCommit, StepTransaction, StreamMoved
from workflows.amends.ports.saga_store import (
    RecordedStart,
    RefusedStart,
    StartOutcome,
    StatusDetails,
    Unmoved,
    VersionMove,
)
from workflows.amends.simulation.memory.commits import MemoryCommits
from workflows.amends.simulation.memory.dbos_tools import DbosTools
from workflows.amends.simulation.memory.executors import MemoryExecutors
from workflows.amends.simulation.memory.queue import MemoryQueue
from workflows.amends.simulation.memory.rows import MemorySagaRow
from workflows.amends.simulation.memory.transaction import MemoryTransaction
from workflows.amends.values.codec import json_text, parse_json

DONE = (event_type(StepCompleted).name, event_type(StepSkipped).name)
STUCK = event_type(SagaStuck).name


@dataclass
class MemorySagas(MemoryCommits, MemoryQueue, MemoryExecutors, DbosTools):
    """All of workflows.amends.ports.saga_store.SagaStore, and its leases; it answers at once, whatever is asked."""

    async def start(self, start: StartRequest) -> StartOutcome | RefusedStart:
        return self.begin(start)

    async def recorded_start(self, id: str) -> RecordedStart | None:
        row = self.rows.get(id)
        return RecordedStart(row.name, row.version, row.workflow.inputs, row.start_brake is not None) if row else None

    async def load_replay_state(self, id: str) -> ReplayState | None:
        return self.replay_state(id) if id in self.rows else None

    async def commit(self, id: str, owner: str, step_commit: StepCommit) -> Committed | StreamMoved:
        return self.write(id, owner, step_commit)

    def transaction(self, id: str, owner: str) -> AbstractAsyncContextManager[StepTransaction]:
        return self._transaction(id, owner)

    @asynccontextmanager
    async def _transaction(self, id: str, owner: str) -> AsyncIterator[StepTransaction]:
        yield MemoryTransaction(self.events, partial(self.write, id, owner))

    async def status_details(self, id: str) -> StatusDetails | None:
        if id not in self.rows:
            return None
        last = self._stuck(id)
        stuck = last and load_event_json(saga_histories.vocabulary, last.type, last.data_json)
        assert stuck is None or isinstance(stuck, SagaStuck)
        return StatusDetails(self.rows[id].status, self.is_compensating(id), stuck, last and last.version)

    async def apply_operator_action(
        self,
        id: str,
        stuck_at: int | None,
        allowed: Sequence[Status],
        event: NewEvent,
        status: Status,
        answer: StoredAnswer | None,
        cancel: str | None = None,
    ) -> FeedCursor | Status | RepeatedRequest:
        if before := self._before(event, answer):
            return before
        last = self._stuck(id)
        if stuck_at is not None and stuck_at != (last and last.version):
            raise StaleVersion(saga_histories.stream(id), stuck_at, -1)
        row = self._row(id)
        if row.status not in allowed:
            return row.status
        cursor = self.events.insert([self.new_saga_event(row, event)])
        row.note_resumed(status, self.clock.now)
        row.cancel_reason = row.cancel_reason if cancel is None else cancel
        self.enqueue(row)
        return self._kept(answer, cursor)

    async def signal(
        self, id: str, signal: str, event: NewEvent, answer: StoredAnswer | None
    ) -> FeedCursor | Status | RepeatedRequest:
        if before := self._before(event, answer):
            return before
        row = self._row(id)
        if row.status in FINISHED:
            return row.status
        return self._kept(answer, self.write_signal(row, signal, event))

    async def cancel(
        self, id: str, pivots: Sequence[str], reason: str, event: NewEvent, answer: StoredAnswer | None
    ) -> FeedCursor | Status | RepeatedRequest | None:
        if before := self._before(event, answer):
            return before
        row = self._row(id)
        if row.status in FINISHED:
            return row.status
        if any(done.data.get("step") in pivots for done in self.saga_events(id, *DONE)):
            return None
        cursor = self.events.insert([self.new_saga_event(row, event)])
        row.cancel_reason = reason
        if not self.is_compensating(id) and (row.status in ("waiting", "stuck") or row.is_held):
            row.note_resumed("running", self.clock.now)
            self.enqueue(row)
        return self._kept(answer, cursor)

    async def migrate(
        self, move: VersionMove, event: NewEvent, answer: StoredAnswer | None
    ) -> FeedCursor | Unmoved | RepeatedRequest:
        if before := self._before(event, answer):
            return before
        row = self._row(move.id)
        if (row.version, self.events.version(saga_histories.stream(row.id))) != (move.from_version, move.at):
            raise StaleVersion(saga_histories.stream(row.id), move.at, -1)
        if unmoved := row.unmoved():
            return unmoved
        cursor = self.events.insert([self.new_saga_event(row, event)])
        row.version, row.workflow.inputs = move.to_version, _of_version(row.workflow.inputs, move.to_version)
        goes_on, held = row.status in ("waiting", "stranded"), row.brake is not None
        if goes_on:
            row.status, row.reason, row.since = "running", None, self.clock.now
        if goes_on or held:
            self.enqueue(row)
        row.cause = row.waiting_for = row.due_at = row.brake = row.brake_since = None
        return self._kept(answer, cursor)

    def _before(self, event: NewEvent, answer: StoredAnswer | None) -> FeedCursor | RepeatedRequest | None:
        """What the same request was answered before, or the place of the event if that was written before."""
        known = self.events.event_by_id(event.id)
        return self.events.earlier_answer(answer) or (known and known.cursor)

    def _kept(self, answer: StoredAnswer | None, cursor: FeedCursor) -> FeedCursor:
        self.events.keep_answer(answer, cursor)
        return cursor

    def _stuck(self, id: str) -> StoredEvent | None:
        """Where a saga got stuck last."""
        return next(self.saga_events(id, STUCK), None)

    def _row(self, id: str) -> MemorySagaRow:
        if id not in self.rows:
            raise NotFound("workflow", id)
        return self.rows[id]


def _of_version(inputs: str, version: int) -> str:
    """What is kept as a workflow's input, for another version of its saga."""
    kept = parse_json(inputs)
    if "namedArgs" not in kept:
        return inputs
    return json_text(kept | {"namedArgs": kept["namedArgs"] | {"version": version}})
