"""The rows of the store in memory: a saga's, its workflow's as DBOS would have it, and an executor's."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias
from uuid import UUID

from workflows.amends.causes.failure_cause import FailureCause
from workflows.amends.history import FINISHED, SagaEvent, StateFold, Status, saga_histories
from workflows.amends.history.replay_state import Checkpoint, ReplayFold
from workflows.amends.ports.event_store import StoredEvent, load_event_json
from workflows.amends.ports.execution_log import StatusChange
from workflows.amends.ports.saga_store import Unmoved

SUSPENDED = "parked"
"""What stands for the executor of a workflow that nobody runs."""
QUEUE = "amends"
DBOS_QUEUE = "_dbos_internal_queue"
"""The queue into which DBOS's tools put what they fork and resume."""

WorkflowStatus: TypeAlias = Literal["ENQUEUED", "PENDING", "SUCCESS", "ERROR", "CANCELLED"]


@dataclass
class ManualClock:
    """The time that passes in a simulation: only when somebody lets it."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def reach(self, until: datetime) -> None:
        """Let time pass until then, if that lies ahead."""
        self.now = max(self.now, until)


@dataclass
class MemorySagaHistory:
    """What was read of a saga's stream so far: each of its events is read once."""

    events: list[tuple[UUID, SagaEvent]] = field(default_factory=list)
    fold: StateFold = field(default_factory=StateFold)
    replay: ReplayFold = field(default_factory=ReplayFold)

    def read(self, stored: StoredEvent) -> None:
        """One event more."""
        event = load_event_json(saga_histories.vocabulary, stored.type, stored.data_json)
        self.events.append((stored.id, event))
        self.fold.add_event(event, stored.recorded_at)
        self.replay.add_events([(stored.id, event)])

    def last(self, *classes: type[SagaEvent]) -> tuple[int, SagaEvent] | None:
        """The newest event of these classes, and its version."""
        numbered = reversed(list(enumerate((event for _, event in self.events), start=1)))
        return next(((version, event) for version, event in numbered if isinstance(event, classes)), None)


@dataclass
class WorkflowRow:
    """A workflow as DBOS has it, with its checkpoints by step number. `output` and `error` are its outcome."""

    id: str
    name: str
    inputs: str
    created_at: datetime
    updated_at: datetime
    status: WorkflowStatus = "ENQUEUED"
    executor: str | None = None
    owner: str | None = None
    queue: str | None = QUEUE
    attempts: int = 0
    started_at: datetime | None = None
    completed_at: datetime | None = None
    parent: str | None = None
    forked_from: str | None = None
    checkpoints: dict[int, Checkpoint] = field(default_factory=dict)
    output: str | None = None
    error: str | None = None

    @property
    def is_suspended(self) -> bool:
        """Whether nobody runs it until it is queued."""
        return self.status == "PENDING" and self.executor == SUSPENDED

    def is_run_by(self, executor: str) -> bool:
        """Whether this executor is recorded as running it."""
        return self.status == "PENDING" and self.executor == executor

    def enqueue(self, now: datetime, queue: str = QUEUE) -> None:
        """Let whoever comes next run it."""
        self.status, self.executor, self.owner, self.queue = "ENQUEUED", None, None, queue
        self.started_at, self.updated_at = None, now

    def take(self, executor: str, owner: str, now: datetime) -> None:
        """Let an executor run it from now on."""
        self.status, self.executor, self.owner = "PENDING", executor, owner
        self.attempts += 1
        self.started_at = self.updated_at = now

    def suspend(self, now: datetime) -> None:
        """Let nobody run it until it is queued."""
        self.executor, self.owner, self.updated_at = SUSPENDED, None, now


@dataclass
class MemorySagaRow:
    """A saga as its store has it. `settled` says that no execution may have left anything without a record."""

    id: str
    name: str
    version: int
    root: str
    reference: str
    status: Status
    correlation_id: str
    request: str
    started_at: datetime
    since: datetime
    workflow: WorkflowRow
    settled: bool = False
    was_settled: bool = False
    deadline_at: datetime | None = None
    parent: str | None = None
    reason: str | None = None
    finished_at: datetime | None = None
    takeovers: int = 0
    progress: int = 0
    """The version of its history at which its last executor died."""
    not_before: datetime | None = None
    waiting_for: str | None = None
    due_at: datetime | None = None
    cancel_reason: str | None = None
    provider: str | None = None
    provider_since: datetime | None = None
    actor: str | None = None
    cause: str | None = None
    """The id of the cause of its suspension, while it is suspended."""
    compensation_cause: str | None = None
    brake: str | None = None
    """The id of the brake at which it waits, as long as it does."""
    brake_since: datetime | None = None
    start_brake: str | None = None
    """The brake that held it when it was started."""

    @property
    def saga_type(self) -> str:
        """Name and version in one word."""
        return f"{self.name}:{self.version}"

    @property
    def owner(self) -> str | None:
        """The token of the execution that owns it."""
        return self.workflow.owner

    @property
    def checkpoints(self) -> dict[int, Checkpoint]:
        """What is recorded of its steps, by their numbers."""
        return self.workflow.checkpoints

    @property
    def is_queued(self) -> bool:
        return self.workflow.status == "ENQUEUED"

    @property
    def has_awaited_provider(self) -> bool:
        """Whether it waits for a provider, as far as its own row says."""
        return self.provider is not None and self.status in ("running", "compensating")

    @property
    def has_brake(self) -> bool:
        """Whether it waits at a brake, as far as its own row says."""
        return self.brake is not None and self.status in ("queued", "running", "compensating")

    @property
    def awaits_provider(self) -> bool:
        """Whether nobody runs it because a provider is down."""
        return self.has_awaited_provider and self.workflow.is_suspended

    @property
    def is_held(self) -> bool:
        """Whether nobody runs it because a provider is down, or a brake in force."""
        return (self.has_awaited_provider or self.has_brake) and self.workflow.is_suspended

    def unmoved(self) -> Unmoved | None:
        """Why it may not go on with another version of its code; None if it may."""
        workflow = self.workflow
        if self.status not in ("queued", "running", "waiting", "stranded"):
            return self.status
        if not workflow.is_suspended and not (workflow.status == "ENQUEUED" and workflow.queue == QUEUE):
            return "executing"
        return None if (self.status == "waiting" or self.settled) and self.provider is None else "unsettled"

    def set_status(self, to: StatusChange, cause: FailureCause | None, now: datetime) -> None:
        """Take note of another status, its cause, and what it waits for; one that keeps its status keeps its reason."""
        self.reason = to.reason or self.reason if to.status == self.status else to.reason
        self.status, self.waiting_for, self.due_at = to.status, to.waiting_for, to.due_at
        self.provider, self.provider_since = to.provider, to.provider_since
        self.brake, self.brake_since = to.brake, to.brake_since
        self.since, self.finished_at = now, now if to.status in FINISHED else None
        self.set_cause(cause)

    def set_cause(self, cause: FailureCause | None) -> None:
        """Take note of the cause of a suspension, which counts while that lasts, or of a compensation."""
        if cause and cause.kind == "compensating":
            self.cause, self.compensation_cause = None, cause.id
        else:
            self.cause = cause.id if cause else None

    def clear_wait(self, now: datetime) -> None:
        """Note that it waits for no signal and no time any more."""
        self.status = "running" if self.status == "waiting" else self.status
        self.since, self.waiting_for, self.due_at = now, None, None
        if self.brake is not None:
            self.brake = self.brake_since = self.cause = None

    def note_resumed(self, status: Status, now: datetime) -> None:
        """Note that it goes on because somebody wants it to, however often its executors have died."""
        self.status, self.reason, self.since = status, None, now
        self.waiting_for, self.due_at, self.takeovers, self.not_before = None, None, 0, None
        self.cause = self.brake = self.brake_since = None


@dataclass(frozen=True)
class NotedCause:
    """A cause, and when a saga had it for the first time."""

    cause: FailureCause
    first_at: datetime


@dataclass
class ExecutorRow:
    """A process that runs sagas, with its lease. One that has ended is never heard of again."""

    id: str
    machine: str
    pid: int
    process_started_at: float
    saga_types: tuple[str, ...]
    started_at: datetime
    renewed_at: datetime
    lease_until: datetime
    ended_at: datetime | None = None
    ended_by: str | None = None

    def renew(self, now: datetime, seconds: float) -> None:
        """A lease of so many seconds from now on."""
        self.renewed_at, self.lease_until = now, now + timedelta(seconds=seconds)
