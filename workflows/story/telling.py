"""What a saga's events add up to: the story as a person reads it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import JsonValue

from domain.aggregate import Aggregate
from workflows.story.facts import (
    CancelLost,
    CancelRequested,
    ChildRecalled,
    ChildStarted,
    CompensationFailed,
    CompensationStatus,
    EventLoopBlocked,
    OfStep,
    OperatorActed,
    OperatorResumed,
    Problem,
    SagaAbandoned,
    SagaCompensated,
    SagaCompensating,
    SagaCompleted,
    SagaResumed,
    SagaStarted,
    SagaStranded,
    SagaStuck,
    SagaWaiting,
    SignalReceived,
    Status,
    StepCompensated,
    StepCompleted,
    StepFailed,
    StepRefused,
    StepRetrying,
    StepSkipped,
    StepStatus,
    Told,
    WaitEnded,
)


@dataclass(frozen=True)
class CompensationTold:
    name: str
    status: CompensationStatus
    attempts: int
    error: Problem | None = None


@dataclass(frozen=True)
class StepTold:
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
    compensation: CompensationTold | None = None
    child: str | None = None


@dataclass(frozen=True)
class Story:
    """A saga as its events tell it."""

    status: Status = "running"
    reason: str | None = None
    input: JsonValue = None
    result: JsonValue = None
    error: Problem | None = None
    steps: tuple[StepTold, ...] = ()
    turned_back: bool = False
    waiting_for: str | None = None
    waiting_until: datetime | None = None

    def step(self, name: str, occurrence: int) -> StepTold | None:
        return next((told for told in self.steps if (told.name, told.occurrence) == (name, occurrence)), None)

    def with_step(self, told: StepTold) -> Story:
        """The story with this step put in its place: steps stand in the order of their start."""
        others = [step for step in self.steps if (step.name, step.occurrence) != (told.name, told.occurrence)]
        return replace(self, steps=tuple(sorted([*others, told], key=lambda step: step.slot)))

    def with_compensation(self, name: str, occurrence: int, slot: int, told: CompensationTold) -> Story:
        """The story with what became of undoing a step, at `slot`; one without a record may have been done."""
        step = self.step(name, occurrence) or StepTold(name, occurrence, "step", "unknown", 0, None, slot)
        undone = told.status in ("completed", "resolved")
        return self.with_step(replace(step, compensation=told, status="compensated" if undone else step.status))


TIMER = "timer"
"""What a saga waits for that sleeps."""


def evolve(story: Story, event: Told) -> Story:  # noqa: C901 (one case for each event)
    match event:
        case SagaStarted():
            return replace(story, input=event.input)
        case OfStep():
            return _step(story, event)
        case CompensationFailed():
            status: CompensationStatus = "retrying" if event.next_at else "failed"
            told = CompensationTold(event.compensation, status, event.attempts, event.error)
            return story.with_compensation(event.step, event.occurrence, event.slot, told)
        case StepCompensated():
            done: CompensationStatus = (
                "completed" if event.by == "compensation" else "skipped" if event.by == "skip" else "resolved"
            )
            told = CompensationTold(event.compensation, done, event.attempts)
            return story.with_compensation(event.step, event.occurrence, event.slot, told)
        case SagaWaiting():
            return replace(story, status="waiting", waiting_for=event.signal or TIMER, waiting_until=event.until)
        case WaitEnded():
            return replace(story, status="running", waiting_for=None, waiting_until=None)
        case SignalReceived() | ChildRecalled() | CancelRequested() | CancelLost() | EventLoopBlocked():
            return story
        case SagaCompensating():
            back = replace(story, status="compensating", turned_back=True, waiting_for=None, waiting_until=None)
            return replace(back, reason=event.reason, error=event.error, result=None)
        case SagaStuck():
            return replace(_stuck(story, event), status="stuck", reason=event.reason)
        case OperatorActed() | OperatorResumed() | SagaResumed():
            return replace(story, status="compensating" if story.turned_back else "running", reason=None)
        case SagaStranded():
            return replace(story, status="stranded", reason=event.reason)
        case SagaAbandoned():
            return replace(story, status="abandoned", reason=event.reason)
        case SagaCompleted():
            return replace(story, status="completed", result=event.result, reason=None)
        case SagaCompensated():
            return replace(story, status="compensated", reason=event.reason)


_OUTCOMES: dict[type[OfStep], StepStatus] = {
    StepCompleted: "completed",
    StepRefused: "refused",
    StepRetrying: "retrying",
    StepFailed: "unknown",
    StepSkipped: "skipped",
    ChildStarted: "running",
}


def _step(story: Story, event: OfStep) -> Story:
    status, attempts = _OUTCOMES[type(event)], getattr(event, "attempts", 0)
    known = story.step(event.step, event.occurrence)
    child = event.child if isinstance(event, ChildStarted) else known.child if known else None
    told = StepTold(event.step, event.occurrence, event.kind, status, attempts, event.started_at, event.slot)
    told = replace(told, error=getattr(event, "error", None), next_at=getattr(event, "next_at", None), child=child)
    return story.with_step(told)


def _stuck(story: Story, event: SagaStuck) -> Story:
    if event.step is None:
        return story
    if event.compensation:
        told = CompensationTold(event.compensation, "failed", event.attempts, event.error)
        return story.with_compensation(event.step, event.occurrence, event.slot, told)
    known = story.step(event.step, event.occurrence)
    started_at = known.started_at if known else None
    step = StepTold(event.step, event.occurrence, event.kind, "failed", event.attempts, started_at, event.slot)
    return story.with_step(replace(step, error=event.error, child=known.child if known else None))


stories: Aggregate[Story, Told] = Aggregate("saga", initial=Story(), evolve=evolve)


def tell(recorded: Iterable[tuple[datetime, Told]]) -> Story:
    """Fold a saga's stream, oldest first; a step's `finished_at` is when its outcome was recorded."""
    story = Story()
    for at, fact in recorded:
        story = evolve(story, fact)
        if isinstance(fact, StepCompleted | StepRefused | StepFailed | StepSkipped):
            told = story.step(fact.step, fact.occurrence)
            story = story.with_step(replace(told, finished_at=at)) if told else story
    return story
