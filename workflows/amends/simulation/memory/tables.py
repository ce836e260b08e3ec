"""The tables of the store in memory, and what several of its operations do with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from domain.amends.event import event_type
from workflows.amends.brakes.brake import Brake, BrakePoint
from workflows.amends.causes.failure_cause import MOST_CAUSES, OTHER_ERRORS, FailureCause, default_cause
from workflows.amends.history import SagaCompensating, StepCompensated, saga_histories
from workflows.amends.history.replay_state import ReplayFold, ReplayState
from workflows.amends.ports.brakes import BrakeLift
from workflows.amends.ports.event_store import NewEvent, StoredEvent, load_event_json
from workflows.amends.ports.execution_log import StatusChange
from workflows.amends.ports.saga_store import ClaimedSaga
from workflows.amends.simulation.memory.events import MemoryEvents
from workflows.amends.simulation.memory.rows import (
    ExecutorRow,
    ManualClock,
    MemorySagaHistory,
    MemorySagaRow,
    NotedCause,
    WorkflowRow,
)

COMPENSATING, COMPENSATED = event_type(SagaCompensating).name, event_type(StepCompensated).name


@dataclass
class MemoryTables:
    """Sagas, workflows and executors by id, and events. `clock` moves only when somebody tells it to."""

    clock: ManualClock = field(default_factory=ManualClock)
    rows: dict[str, MemorySagaRow] = field(default_factory=dict)
    workflows: dict[str, WorkflowRow] = field(default_factory=dict)
    executors: dict[str, ExecutorRow] = field(default_factory=dict)
    causes: dict[str, NotedCause] = field(default_factory=dict)
    brake_rows: dict[str, Brake] = field(default_factory=dict)
    lifted: dict[str, BrakeLift] = field(default_factory=dict)
    """By the ids of brakes, by whom, why and when they were lifted."""
    events: MemoryEvents = field(init=False)
    _histories: dict[str, MemorySagaHistory] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.events = MemoryEvents(lambda: self.clock.now)

    def saga_history(self, id: str) -> MemorySagaHistory:
        """What happened to a saga so far."""
        known = self._histories.setdefault(id, MemorySagaHistory())
        for stored in self.events.stream_events(saga_histories.stream(id))[len(known.events) :]:
            known.read(stored)
        return known

    def saga_events(self, id: str, *types: str) -> Iterator[StoredEvent]:
        """A saga's own events of these types, newest first."""
        return (each for each in reversed(self.events.stream_events(saga_histories.stream(id))) if each.name in types)

    def is_compensating(self, id: str) -> bool:
        """Whether its compensation has begun."""
        return next(self.saga_events(id, COMPENSATING), None) is not None

    def replay_state(self, id: str) -> ReplayState:
        """What is recorded of a saga, and of the compensations of its family of forks."""
        row, fold = self.rows[id], ReplayFold()
        fold.add_events(self.saga_history(id).events)
        fold.add_checkpoints(row.checkpoints.values())
        for kin in [each.id for each in self.rows.values() if each.root == row.root and each is not row]:
            for stored in self.saga_events(kin, COMPENSATED):
                compensated = load_event_json(saga_histories.vocabulary, stored.type, stored.data_json)
                assert isinstance(compensated, StepCompensated)
                fold.add_compensation_of_fork(compensated.step, compensated.occurrence)
        return fold.state(
            row.status,
            row.takeovers,
            deadline_at=row.deadline_at,
            recovered=not row.was_settled,
            provider=row.provider,
        )

    def note_cause(self, row: MemorySagaRow, change: StatusChange) -> FailureCause | None:
        """Keep the cause of a suspension or a compensation; of too many of one step it is one of the other errors.

        What is suspended without one has a cause that says nothing but how it stands.
        """
        cause = change.cause or default_cause(row.name, row.version, change.status, change.provider)
        return cause and self.keep_cause(cause)

    def keep_cause(self, cause: FailureCause) -> FailureCause:
        """Keep a cause, unless there are too many of its step."""
        if cause.id in self.causes:
            return cause
        step = (cause.name, cause.version, cause.step)
        known = [each.cause for each in self.causes.values()]
        if sum((each.name, each.version, each.step) == step for each in known) >= MOST_CAUSES:
            cause = replace(cause, provider=None, error=OTHER_ERRORS)
        self.causes.setdefault(cause.id, NotedCause(cause, self.clock.now))
        return cause

    def is_in_force(self, brake: str) -> bool:
        """Whether a brake was set and not lifted."""
        return brake in self.brake_rows and brake not in self.lifted

    def brakes_in_force(self) -> list[Brake]:
        """The brakes in force, oldest first."""
        known = (brake for brake in self.brake_rows.values() if brake.id not in self.lifted)
        return sorted(known, key=lambda brake: (brake.set_at, brake.id))

    def start_brake(self, name: str, version: int) -> Brake | None:
        """The brake that holds the starts of a type of saga, one that refuses them first."""
        holding = (
            each
            for each in self.brakes_in_force()
            if each.scope.holds_starts and each.scope.matches(BrakePoint(name, version, ""))
        )
        return min(holding, key=lambda brake: brake.starts != "refuse", default=None)

    def new_saga_event(self, row: MemorySagaRow, event: NewEvent) -> NewEvent:
        """An event as it belongs to a saga's history, whoever tells it."""
        return replace(event, cause=replace(event.cause, correlation_id=row.correlation_id, workflow_id=row.id))

    def enqueue(self, row: MemorySagaRow) -> None:
        """Let whoever comes next run a saga, also one that was ended by DBOS's tools, unless its workflow succeeded."""
        if row.workflow.status != "SUCCESS":
            row.workflow.enqueue(self.clock.now)
            row.workflow.completed_at = None

    def assign_to_executor(self, row: MemorySagaRow, executor: str, owner: str) -> ClaimedSaga:
        """Let an executor run a saga from now on, whoever has it."""
        row.workflow.take(executor, owner, self.clock.now)
        row.was_settled, row.settled = row.settled, False
        if row.status == "queued":
            row.status, row.since = "running", self.clock.now
        return ClaimedSaga(row.id, row.workflow.name, row.workflow.inputs)

    def is_alive(self, executor: str) -> bool:
        """Whether an executor may claim: it was not ended, and its lease holds."""
        known = self.executors.get(executor)
        return known is not None and known.ended_at is None and known.lease_until > self.clock.now
