"""What a saga's events add up to: the story as a person reads it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from domain.amends.aggregate import Aggregate
from workflows.amends.history.events import (
    CancelLost,
    CancelRequested,
    ChildRecalled,
    ChildStarted,
    CompensationFailed,
    CompensationStatus,
    CompensationWaiting,
    EventLoopBlocked,
    OperatorActed,
    OperatorResumed,
    SagaAbandoned,
    SagaCompensated,
    SagaCompensating,
    SagaCompleted,
    SagaEvent,
    SagaResumed,
    SagaStarted,
    SagaStranded,
    SagaStuck,
    SagaWaiting,
    SignalReceived,
    Status,
    StepCompensated,
    StepCompleted,
    StepEvent,
    StepFailed,
    StepRefused,
    StepRetrying,
    StepSkipped,
    StepStatus,
    StepWaiting,
    WaitEnded,
)
from workflows.amends.history.problem import Problem


@dataclass(frozen=True)
class AwaitedProvider:
    """A provider that a step or its compensation waits for."""

    name: str
    since: datetime
    until: datetime


@dataclass(frozen=True)
class CompensationState:
    name: str
    status: CompensationStatus
    attempts: int
    error: Problem | None = None


@dataclass(frozen=True)
class StepState:
    """A step as a person sees it."""

    name: str
    occurrence: int
    kind: str
    status: StepStatus
    attempts: int
    started_at: datetime | None
    slot: int
    finished_at: datetime | None = None
    error: Problem | None = None
    next_at: datetime | None = None
    compensation: CompensationState | None = None
    child: str | None = None
    awaits: AwaitedProvider | None = None


@dataclass(frozen=True)
class SagaState:
    """A saga as its events tell it."""

    status: Status = "running"
    reason: str | None = None
    input: JsonValue = None
    result: JsonValue = None
    error: Problem | None = None
    steps: tuple[StepState, ...] = ()
    turned_back: bool = False
    waiting_for: str | None = None
    waiting_until: datetime | None = None

    def step(self, name: str, occurrence: int) -> StepState | None:
        return next((told for told in self.steps if (told.name, told.occurrence) == (name, occurrence)), None)


TIMER = "timer"
"""What a saga waits for that sleeps."""


class SagaFold:
    """A story as it grows: each event costs the same, however many came before it."""

    def __init__(self, state: SagaState = SagaState()) -> None:
        self._state = state
        self._steps = {(step.name, step.occurrence): step for step in state.steps}

    def state(self) -> SagaState:
        """The story so far; its steps stand in the order of their start."""
        steps = sorted(self._steps.values(), key=lambda step: (step.slot, step.name, step.occurrence))
        return replace(self._state, steps=tuple(steps))

    def tell(self, event: SagaEvent, at: datetime | None = None) -> None:
        """One event more, and when it was recorded: a step's `finished_at` is when its outcome was."""
        match event:
            case StepEvent():
                self._step(event, at)
            case CompensationFailed():
                status: CompensationStatus = "retrying" if event.next_at else "failed"
                self._undone(event, CompensationState(event.compensation, status, event.attempts, event.error))
            case CompensationWaiting():
                waiting = CompensationState(event.compensation, "retrying", event.attempts, event.error)
                self._undone(event, waiting, _awaited(event))
            case StepCompensated():
                self._undone(event, CompensationState(event.compensation, _UNDONE[event.by], event.attempts))
            case SagaStuck():
                self._stuck(event)
                self._change(status="stuck", reason=event.reason)
            case SagaCompensating():
                self._not_begun(event.in_doubt)
                self._state = _turned(self._state, event)
            case SignalReceived() | ChildRecalled() | CancelRequested() | CancelLost() | EventLoopBlocked():
                pass
            case _:
                self._state = _turned(self._state, event)

    def _not_begun(self, in_doubt: tuple[int, ...]) -> None:
        """The saga turns back: a step that waited for its provider is in doubt, or has not been begun."""
        for key, step in list(self._steps.items()):
            if step.awaits and step.slot in in_doubt:
                self._steps[key] = replace(step, status="unknown", awaits=None)
            elif step.awaits:
                del self._steps[key]

    def _change(self, **changes: Any) -> None:
        self._state = replace(self._state, **changes)

    def _step(self, event: StepEvent, at: datetime | None) -> None:
        status, attempts = _OUTCOMES[type(event)], getattr(event, "attempts", 0)
        key = event.step, event.occurrence
        known = self._steps.get(key)
        child = event.child if isinstance(event, ChildStarted) else known.child if known else None
        self._steps[key] = StepState(
            event.step,
            event.occurrence,
            event.kind,
            status,
            attempts,
            event.started_at,
            event.slot,
            at if isinstance(event, StepCompleted | StepRefused | StepFailed | StepSkipped) else None,
            getattr(event, "error", None),
            getattr(event, "next_at", None),
            child=child,
            awaits=AwaitedProvider(event.provider, event.since, event.until)
            if isinstance(event, StepWaiting)
            else None,
        )

    def _undone(
        self,
        event: CompensationFailed | CompensationWaiting | StepCompensated | SagaStuck,
        told: CompensationState,
        awaits: AwaitedProvider | None = None,
    ) -> None:
        """What became of undoing a step; one without a record may have been done."""
        assert event.step is not None
        key = event.step, event.occurrence
        step = self._steps.get(key) or StepState(*key, "step", "unknown", 0, None, event.slot)
        undone = told.status in ("completed", "resolved")
        status: StepStatus = "compensated" if undone else step.status
        self._steps[key] = replace(step, compensation=told, status=status, awaits=awaits)

    def _stuck(self, event: SagaStuck) -> None:
        if event.step is None:
            return
        if event.compensation:
            self._undone(event, CompensationState(event.compensation, "failed", event.attempts, event.error))
            return
        key = event.step, event.occurrence
        known = self._steps.get(key)
        started_at, child = (known.started_at, known.child) if known else (None, None)
        step = StepState(*key, event.kind, "failed", event.attempts, started_at, event.slot)
        self._steps[key] = replace(step, error=event.error, child=child)


def _turned(state: SagaState, event: SagaEvent) -> SagaState:
    """What an event says of the saga as a whole."""
    match event:
        case SagaStarted():
            return replace(state, input=event.input)
        case SagaWaiting():
            return replace(state, status="waiting", waiting_for=event.signal or TIMER, waiting_until=event.until)
        case WaitEnded():
            return replace(state, status="running", waiting_for=None, waiting_until=None)
        case SagaCompensating():
            back = replace(state, status="compensating", turned_back=True, waiting_for=None, waiting_until=None)
            return replace(back, reason=event.reason, error=event.error, result=None)
        case OperatorActed() | OperatorResumed() | SagaResumed():
            return replace(state, status="compensating" if state.turned_back else "running", reason=None)
        case SagaStranded():
            return replace(state, status="stranded", reason=event.reason)
        case SagaAbandoned():
            return replace(state, status="abandoned", reason=event.reason)
        case SagaCompleted():
            return replace(state, status="completed", result=event.result, reason=None)
        case SagaCompensated():
            return replace(state, status="compensated", reason=event.reason)
        case _:
            raise AssertionError(f"{event} is told elsewhere")


def _awaited(event: StepWaiting | CompensationWaiting) -> AwaitedProvider:
    return AwaitedProvider(event.provider, event.since, event.until)


_UNDONE: dict[str, CompensationStatus] = {"compensation": "completed", "skip": "skipped", "resolve": "resolved"}
_OUTCOMES: dict[type[StepEvent], StepStatus] = {
    StepCompleted: "completed",
    StepRefused: "refused",
    StepRetrying: "retrying",
    StepWaiting: "running",
    StepFailed: "unknown",
    StepSkipped: "skipped",
    ChildStarted: "running",
}


def evolve(state: SagaState, event: SagaEvent) -> SagaState:
    return fold(state, (event,))


def fold(state: SagaState, events: Iterable[SagaEvent]) -> SagaState:
    """The story after several events."""
    telling = SagaFold(state)
    for event in events:
        telling.tell(event)
    return telling.state()


saga_histories: Aggregate[SagaState, SagaEvent] = Aggregate("saga", initial=SagaState(), evolve=evolve, folding=fold)


def tell(recorded: Iterable[tuple[datetime, SagaEvent]]) -> SagaState:
    """Fold a saga's stream, oldest first."""
    telling = SagaFold()
    for at, fact in recorded:
        telling.tell(fact, at)
    return telling.state()
