"""Starts and commits of sagas in memory, and what parents and children are told in the same commit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from pydantic import JsonValue

from domain.amends.event import Cause, event_type
from workflows.amends.brakes.brake import Brake
from workflows.amends.causes.failure_cause import held_start_cause
from workflows.amends.history import FINISHED, SagaCompleted, SignalReceived, saga_histories
from workflows.amends.history.events.children import child_ended_signal, child_undone_signal
from workflows.amends.history.replay_state import Checkpoint
from workflows.amends.ports.event_store import FeedCursor, NewEvent, new_amends_event
from workflows.amends.ports.execution_log import (
    ChildIdTaken,
    Committed,
    CompensateChild,
    Fenced,
    ForeignStep,
    RecordLost,
    SagaMissing,
    StartRequest,
    StepCommit,
    StreamMoved,
)
from workflows.amends.ports.saga_store import RefusedStart, StartOutcome
from workflows.amends.simulation.memory.rows import MemorySagaRow, WorkflowRow
from workflows.amends.simulation.memory.tables import COMPENSATING, MemoryTables

COMPLETED = event_type(SagaCompleted).name
NOT_THERE: Final[dict[str, JsonValue]] = {"status": "compensated", "reason": "it was not there", "error": None}
"""What is told of a child that is to be undone and does not exist."""


@dataclass
class MemoryCommits(MemoryTables):
    """What writes to a saga's history. Each method is whole or not at all, and what it checks comes first."""

    def begin(self, start: StartRequest, parent: str | None = None) -> StartOutcome | RefusedStart:
        """Start a saga, once per id, as the child of another one if it is one."""
        if workflow := self.workflows.get(start.id):
            return self._known(start, workflow)
        parent, brake = parent or start.parent, self.start_brake(start.name, start.version)
        if brake and brake.starts == "refuse" and parent is None:
            return RefusedStart(brake.id)
        self.events.insert([start.event])
        now, owner = self.clock.now, None if brake else start.owner
        workflow = WorkflowRow(start.id, start.name, start.inputs, now, now, parent=parent)
        workflow.executor, workflow.owner = start.executor, owner
        if brake:
            workflow.status = "PENDING"
            workflow.suspend(now)
        if owner is not None:
            workflow.status, workflow.attempts, workflow.started_at = "PENDING", 1, now
        self.workflows[start.id] = workflow
        deadline = None if start.deadline is None else now + start.deadline
        self.rows[start.id] = MemorySagaRow(
            id=start.id,
            name=start.name,
            version=start.version,
            root=start.id,
            reference=start.reference,
            status="queued" if owner is None else "running",
            correlation_id=start.correlation_id,
            request=start.request,
            started_at=now,
            since=now,
            workflow=workflow,
            settled=owner is None,
            deadline_at=deadline,
            parent=parent,
            actor=start.event.cause.actor,
        )
        row = self.rows[start.id]
        if brake is None:
            if owner is not None and start.executor is not None:
                row.begin_execution(start.executor, now)
            return StartOutcome.STARTED
        self._hold_start(row, brake)
        return StartOutcome.HELD

    def _hold_start(self, row: MemorySagaRow, brake: Brake) -> None:
        row.brake, row.brake_since, row.start_brake = brake.id, row.started_at, brake.id
        row.due_at = row.deadline_at
        row.set_cause(self.keep_cause(held_start_cause(row.name, row.version, brake.id)))

    def _known(self, start: StartRequest, workflow: WorkflowRow) -> StartOutcome:
        row = self.rows.get(start.id)
        if row is None or row.request != start.request:
            return StartOutcome.TAKEN
        same = start.owner is not None and workflow.owner == start.owner
        return StartOutcome.STARTED if same else StartOutcome.REPEATED

    def write(self, id: str, owner: str, step_commit: StepCommit) -> Committed | StreamMoved:
        """Write a commit at once. Raises as `Sagas.commit` does."""
        if step_commit.events and self.events.event_by_id(step_commit.events[0].id):
            return Committed()
        if stale := self.events.first_stale_stream(step_commit.expected):
            return StreamMoved(*stale)
        self._require_allowed(id, owner, step_commit)
        self.events.require_new(self._new(step_commit))
        with self.events.transaction():
            self._write(self.workflows[id], self.rows.get(id), step_commit)
        return Committed()

    def _require_allowed(self, id: str, owner: str, step_commit: StepCommit) -> None:
        start, checkpoint = step_commit.start, step_commit.checkpoint
        if start and start.id in self.workflows:
            child = self.rows.get(start.id)
            if child is None or child.request != start.request:
                raise ChildIdTaken
        workflow = self.workflows.get(id)
        if workflow is None or workflow.owner != owner:
            raise Fenced if id in self.rows else SagaMissing
        if any(self.events.event_by_id(each) is None for each in step_commit.after):
            raise RecordLost
        if checkpoint and checkpoint.step_id in workflow.checkpoints:
            raise ForeignStep

    def _new(self, step_commit: StepCommit) -> list[NewEvent]:
        """All events that a commit is going to write, but those that are made for it."""
        new, start, recall = list(step_commit.events), step_commit.start, step_commit.recall
        if start and start.id not in self.workflows:
            new.append(start.event)
        if recall and not start and (child := self._child(recall.saga)) and child.status != "compensated":
            new.append(recall.event)
        return new

    def _write(self, workflow: WorkflowRow, row: MemorySagaRow | None, step_commit: StepCommit) -> None:
        """Write it all; a fork that was not adopted has no row, and nothing is noted there."""
        now, change = self.clock.now, step_commit.change
        if checkpoint := step_commit.checkpoint:
            workflow.checkpoints[checkpoint.step_id] = _kept(checkpoint)
        self.events.insert(step_commit.events)
        if row and change:
            row.set_status(change, self.note_cause(row, change), now)
        if step_commit.suspend:
            workflow.suspend(now)
        if row and step_commit.suspend and step_commit.settled:
            row.settled = True
        if row and (step_commit.suspend or (change and change.status in FINISHED)):
            row.end_execution(now, change.ends_execution if change else row.status)
        if row and step_commit.suspend and change and change.brake and not self.is_in_force(change.brake):
            self.enqueue(row)  # the brake was lifted meanwhile
        if step_commit.start:
            self._start_child(workflow.id, step_commit.start)
        elif step_commit.recall:
            self._recall(workflow.id, step_commit.recall)
        elif row and change and change.status in FINISHED:
            self._tell_parent(row)

    # -- parents and children

    def _start_child(self, parent: str, start: StartRequest) -> None:
        if self.begin(replace(start, executor=None, owner=None), parent) not in (
            StartOutcome.STARTED,
            StartOutcome.HELD,
        ):
            child = self.rows[start.id]
            child.parent = parent
            if child.status in FINISHED:
                self._tell_parent(child)

    def _recall(self, parent: str, wanted: CompensateChild) -> None:
        """Let a child be undone, whatever it is doing; one that is undone already, or not there, tells so at once."""
        row = self._child(wanted.saga)
        if row is None:
            name = child_undone_signal(wanted.saga)
            received = new_amends_event(
                saga_histories.stream(parent), SignalReceived(name, dict(NOT_THERE)), Cause(actor="amends")
            )
            self.write_signal(self.rows[parent], name, received)
            return
        row.parent = parent
        if row.status == "compensated":
            self._tell_parent(row)
            return
        self.events.insert([self.new_saga_event(row, wanted.event)])
        row.cancel_reason = wanted.reason
        rests = row.status in ("completed", "waiting", "stuck") or row.is_held
        if not rests or self.is_compensating(row.id):
            return
        row.note_resumed("running", self.clock.now)
        row.finished_at = row.workflow.output = row.workflow.error = None
        if row.workflow.status == "SUCCESS":
            row.workflow.status = "PENDING"
        self.enqueue(row)

    def _child(self, id: str) -> MemorySagaRow | None:
        """The saga of this id, if it is one that another saga has started."""
        row = self.rows.get(id)
        return row if row and row.parent else None

    def _tell_parent(self, row: MemorySagaRow) -> None:
        """Tell the parent of a saga how that ended, and queue it if it waits for just that."""
        if row.parent is None or row.parent not in self.rows:
            return
        last = self.events.stream_events(saga_histories.stream(row.id))[-1]
        payload: dict[str, JsonValue] = {"status": row.status}
        name = child_ended_signal(row.id)
        if row.status == "completed":
            payload["result"] = last.data.get("result")
        else:
            began = next(self.saga_events(row.id, COMPENSATING), None)
            payload |= {"reason": row.reason, "error": began.data.get("error") if began else None}
            name = child_undone_signal(row.id) if next(self.saga_events(row.id, COMPLETED), None) else name
        cause = Cause(causation_id=str(last.id), actor=last.metadata.get("actor"))
        received = new_amends_event(saga_histories.stream(row.parent), SignalReceived(name, payload), cause)
        if self.rows[row.parent].status not in FINISHED:
            self.write_signal(self.rows[row.parent], name, received)

    def write_signal(self, row: MemorySagaRow, signal: str, event: NewEvent) -> FeedCursor:
        """Write a signal into a saga's history, and queue it if it waits for that."""
        cursor = self.events.insert([self.new_saga_event(row, event)])
        if row.status in ("waiting", "compensating") and row.waiting_for == signal:
            row.clear_wait(self.clock.now)
            self.enqueue(row)
        return cursor


def _kept(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint as it comes back: its times are kept in whole milliseconds."""
    started, completed = _whole(checkpoint.started_at), _whole(checkpoint.completed_at)
    return replace(checkpoint, started_at=started, completed_at=completed)


def _whole(at: datetime) -> datetime:
    utc = at.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)
