"""What earlier executions of a saga have recorded, as the next one needs it: checkpoints, and what happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

from pydantic import JsonValue

from workflows.amends.history.status import OperatorAction, Status
from workflows.amends.history.stored_error import Problem

BLOCKS = 2
"""How often a saga may block the event loop of its executor before an operator is asked."""

TAKEOVERS = 20
"""How many executors in a row may die with a saga that makes no progress, before an operator is asked: where it goes
on; if one more dies on the way there, before `run` is run. From the sixth on it waits longer each time before it is
run again (amends.release_sagas), so that it cannot kill one after the other."""


@dataclass(frozen=True)
class Checkpoint:
    """A step's row as DBOS keeps it: what came out, as JSON text, under the step's number."""

    step_id: int
    name: str
    output: str | None
    error: str | None
    started_at: datetime
    completed_at: datetime


@dataclass(frozen=True)
class StuckReason:
    """Why a saga may not be tried again by itself: an operator is asked where it goes on.

    `runs` says that `run` itself may be run up to there; else an operator is asked before it.
    """

    reason: str
    runs: bool = True


@dataclass(frozen=True)
class ProviderWait:
    """What a step or a compensation waits for, since when, and whether it may have taken effect all the same.

    One that waits at a `brake` waits for no provider: the name of that is empty.
    """

    provider: str
    since: datetime
    sent: bool
    brake: str = ""


@dataclass(frozen=True)
class StartedChild:
    """A saga that was started for a step, with a digest of what it was started with."""

    id: str
    arguments: str
    started_at: datetime


@dataclass(frozen=True)
class ActionTaken:
    """What an operator decided about `step`, None for the code between the steps; `result` is the step's, if given."""

    action: OperatorAction
    reason: str
    step: str | None
    result: JsonValue


@dataclass(frozen=True)
class StartedCompensation:
    """Why a saga is compensated; `outcome_unknown` are the numbers of steps that may have taken effect."""

    reason: str
    problem: Problem | None
    outcome_unknown: tuple[int, ...]


@dataclass(frozen=True)
class ReplayState:
    """What earlier executions of a saga have recorded; empty in its first one.

    By step number: `arguments` are the digests, `failures` the failed attempts of a step without an outcome and when
    the next one is due, `provider_waits` which provider it waits for, `actions` what an operator decided last, `waits`
    until when the saga began to wait, `received` which of these waits a signal ended, `children` the sagas that were
    started for a step, oldest first, `begun` the names of what has begun, and not ended.

    `redo` says how often a step was compensated in the family of forks. `version` is that of the saga's stream,
    `signals` are the payloads it received, by name and oldest first. `compensation` is there once that has begun,
    `cancel` says why somebody wants it to, `cancel_lost` that this came too late. `recovered` says that an execution
    before this one may have ended in the middle of a step, `exhausted` why the next step may not be tried again by
    itself, if so, and `blocks` how often the saga has blocked an event loop since an operator looked at it.
    `compensation_requested` says that its parent wants it compensated after it was completed, `requested` are the
    children whose compensation was requested.
    """

    checkpoints: Mapping[int, Checkpoint] = field(default_factory=dict)
    arguments: Mapping[int, str] = field(default_factory=dict)
    failures: Mapping[int, tuple[int, datetime | None]] = field(default_factory=dict)
    actions: Mapping[int, ActionTaken] = field(default_factory=dict)
    redo: Mapping[tuple[str, int], int] = field(default_factory=dict)
    status: Status = "running"
    last_event: UUID | None = None
    version: int = 1
    signals: Mapping[str, Sequence[JsonValue]] = field(default_factory=dict)
    waits: Mapping[int, datetime | None] = field(default_factory=dict)
    compensation: StartedCompensation | None = None
    cancel: str | None = None
    cancel_lost: bool = False
    deadline_at: datetime | None = None
    started_at: datetime | None = None
    received: frozenset[int] = frozenset()
    recovered: bool = False
    exhausted: StuckReason | None = None
    blocks: int = 0
    compensation_requested: bool = False
    children: Mapping[int, Sequence[StartedChild]] = field(default_factory=dict)
    begun: Mapping[int, str] = field(default_factory=dict)
    requested: frozenset[str] = frozenset()
    provider_waits: Mapping[int, ProviderWait] = field(default_factory=dict)
    provider: str | None = None
    """The provider that the saga's row says it waits for, until the next status says otherwise."""

    @property
    def is_held(self) -> bool:
        """Whether it says that the saga waits for a provider, or at a brake, and that nobody runs it then."""
        return self.provider is not None or any(wait.brake for wait in self.provider_waits.values())


class AppliesToReplay(Protocol):
    """An event that says what the next execution must know of it."""

    def apply_to_replay(self, replay: ReplayFold) -> None: ...


class ReplayFold:
    """A replay state while a saga's events are read, oldest first; each says itself what is to be known of it."""

    def __init__(self) -> None:
        self.checkpoints: dict[int, Checkpoint] = {}
        self.arguments: dict[int, str] = {}
        self.failures: dict[int, tuple[int, datetime | None]] = {}
        self.actions: dict[int, ActionTaken] = {}
        self.redo: dict[tuple[str, int], int] = {}
        self.signals: dict[str, list[JsonValue]] = {}
        self.waits: dict[int, datetime | None] = {}
        self.received: set[int] = set()
        self.children: dict[int, list[StartedChild]] = {}
        self.begun: dict[int, str] = {}
        self.requested: set[str] = set()
        self.provider_waits: dict[int, ProviderWait] = {}
        self.blocks: list[StuckReason] = []
        self.compensation: StartedCompensation | None = None
        self.cancel: str | None = None
        self.cancel_lost = self.completed = self.compensation_requested = False
        self.last_event: UUID | None = None
        self.version = 0

    @classmethod
    def of(cls, state: ReplayState) -> ReplayFold:
        """A fold that goes on where a state ends; what is added leaves the state as it is."""
        fold = cls()
        fold.checkpoints, fold.arguments, fold.failures = (
            dict(state.checkpoints),
            dict(state.arguments),
            dict(state.failures),
        )
        fold.actions, fold.redo, fold.waits = dict(state.actions), dict(state.redo), dict(state.waits)
        fold.signals = {name: list(told) for name, told in state.signals.items()}
        fold.children = {step_id: list(started) for step_id, started in state.children.items()}
        fold.received, fold.requested = set(state.received), set(state.requested)
        fold.begun = dict(state.begun)
        fold.provider_waits = dict(state.provider_waits)
        fold.blocks = [state.exhausted or StuckReason("")] * state.blocks
        fold.compensation, fold.cancel, fold.cancel_lost = state.compensation, state.cancel, state.cancel_lost
        fold.compensation_requested = state.compensation_requested
        fold.last_event, fold.version = state.last_event, state.version
        return fold

    def add_events(self, events: Iterable[tuple[UUID, AppliesToReplay]]) -> None:
        """Some events more of the saga's stream, with their ids."""
        last, count = self.last_event, 0
        for last, event in events:  # noqa: B007 (it is the last one that counts)
            event.apply_to_replay(self)
            count += 1
        self.last_event, self.version = last, self.version + count

    def add_checkpoints(self, checkpoints: Iterable[Checkpoint]) -> None:
        """Some checkpoints more."""
        self.checkpoints.update((each.step_id, each) for each in checkpoints)

    def add_compensation_of_fork(self, step: str, occurrence: int) -> None:
        """A step was compensated in another saga of the family of forks: its next call needs another key."""
        self.redo[step, occurrence] = self.redo.get((step, occurrence), 0) + 1

    def end_provider_wait(self, step_id: int) -> None:
        """An attempt was made, or an operator acted; of the wait it is kept, under no name, what was sent."""
        if (known := self.provider_waits.get(step_id)) is not None:
            self.provider_waits[step_id] = replace(known, provider="", brake="")

    def state(
        self,
        status: Status,
        takeovers: int = 0,
        deadline_at: datetime | None = None,
        started_at: datetime | None = None,
        recovered: bool = False,
        provider: str | None = None,
    ) -> ReplayState:
        """The state so far, with what the saga's row says beside it; nothing is copied."""
        return ReplayState(
            checkpoints=self.checkpoints,
            arguments=self.arguments,
            failures=self.failures,
            actions=self.actions,
            redo=self.redo,
            status=status,
            last_event=self.last_event,
            version=self.version,
            signals=self.signals,
            waits=self.waits,
            compensation=self.compensation,
            cancel=self.cancel,
            cancel_lost=self.cancel_lost,
            deadline_at=deadline_at,
            started_at=started_at,
            received=frozenset(self.received),
            recovered=recovered,
            exhausted=self.blocks[-1] if len(self.blocks) >= BLOCKS else takeovers_exhausted(takeovers),
            blocks=len(self.blocks),
            compensation_requested=self.compensation_requested,
            children=self.children,
            begun=self.begun,
            requested=frozenset(self.requested),
            provider_waits=self.provider_waits,
            provider=provider,
        )


def takeovers_exhausted(takeovers: int) -> StuckReason | None:
    """Why a saga is stuck with which one executor after the other has died; None for one that may be tried again."""
    if takeovers <= TAKEOVERS:
        return None
    return StuckReason(f"{takeovers} executors died in a row while they ran this step", takeovers == TAKEOVERS + 1)
