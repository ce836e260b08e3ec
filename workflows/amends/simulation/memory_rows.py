"""A simulated saga as its store has it: its status and what it waits for, its checkpoints, and its history."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from workflows.amends.history import SagaEvent, StateFold, Status, saga_histories
from workflows.amends.history.replay_state import Checkpoint, ReplayFold
from workflows.amends.ports.event_store import StoredEvent, read_event
from workflows.amends.ports.execution_log import Start, StatusChange


@dataclass
class Clock:
    """The time that passes in a simulation: only when somebody lets it."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def reach(self, until: datetime) -> None:
        """Let time pass until then, if that lies ahead."""
        self.now = max(self.now, until)


@dataclass
class History:
    """What was read of a saga's stream so far: each of its events is read once."""

    events: list[tuple[UUID, SagaEvent]] = field(default_factory=list)
    fold: StateFold = field(default_factory=StateFold)
    replay: ReplayFold = field(default_factory=ReplayFold)

    def read(self, stored: StoredEvent) -> None:
        """One event more."""
        event = read_event(saga_histories.vocabulary, stored.type, stored.data_json)
        self.events.append((stored.id, event))
        self.fold.add(event, stored.recorded_at)
        self.replay.add([(stored.id, event)])

    def last(self, *classes: type[SagaEvent]) -> tuple[int, SagaEvent] | None:
        """The newest event of these classes, and its version."""
        numbered = reversed(list(enumerate((event for _, event in self.events), start=1)))
        return next(((version, event) for version, event in numbered if isinstance(event, classes)), None)


@dataclass
class Row:
    """A saga as its store has it. `settled` says that no execution may have left anything without a record."""

    start: Start
    status: Status
    started_at: datetime
    deadline_at: datetime | None
    parent: str | None
    owner: str | None = None
    is_queued: bool = False
    reason: str | None = None
    waiting_for: str | None = None
    due_at: datetime | None = None
    provider: str | None = None
    provider_since: datetime | None = None
    settled: bool = True
    was_settled: bool = True
    checkpoints: dict[int, Checkpoint] = field(default_factory=dict)
    history: History = field(default_factory=History)

    @property
    def saga_type(self) -> str:
        """Name and version in one word."""
        return f"{self.start.name}:{self.start.version}"

    @property
    def is_suspended(self) -> bool:
        """Whether nobody runs it until it is queued."""
        return self.owner is None and not self.is_queued

    @property
    def awaits_provider(self) -> bool:
        """Whether nobody runs it because a provider is down."""
        return self.provider is not None and self.status in ("running", "compensating") and self.is_suspended

    def change(self, to: StatusChange) -> None:
        """Take note of another status, and of what it waits for; one that keeps its status keeps its reason too."""
        self.reason = to.reason or self.reason if to.status == self.status else to.reason
        self.status, self.waiting_for, self.due_at = to.status, to.waiting_for, to.due_at
        self.provider, self.provider_since = to.provider, to.provider_since

    def queue(self) -> None:
        """Let whoever comes next run it."""
        self.owner, self.is_queued = None, True

    def wake(self, status: Status) -> None:
        """Queue it again: it waits for no signal and no time any more."""
        self.reason = self.reason if status == self.status else None
        self.status, self.waiting_for, self.due_at = status, None, None
        self.queue()
