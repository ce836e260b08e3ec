"""The state of a saga as the API shows it: its status, and each of its steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, Protocol

from pydantic import JsonValue

from workflows.amends.history.status import CompensationStatus, Status, StepStatus
from workflows.amends.history.stored_error import Problem


@dataclass(frozen=True)
class StepWait:
    """A provider that a step or its compensation waits for, or the brake at which it waits."""

    kind: Literal["provider", "brake"]
    name: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True)
class CompensationState:
    name: str
    status: CompensationStatus
    attempts: int
    error: Problem | None = None


@dataclass(frozen=True)
class StepState:
    """A step as the API shows it."""

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
    awaits: StepWait | None = None


@dataclass(frozen=True)
class SagaState:
    """What a saga's events add up to."""

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
        return next((each for each in self.steps if (each.name, each.occurrence) == (name, occurrence)), None)


class AppliesToState(Protocol):
    """An event that says what it changes in the state."""

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None: ...


class StateFold:
    """The state of a saga while its events are added up: each costs the same, however many came before it.

    `steps` are by name and occurrence.
    """

    def __init__(self, state: SagaState = SagaState()) -> None:
        self._state = state
        self.steps = {(step.name, step.occurrence): step for step in state.steps}

    def state(self) -> SagaState:
        """The state so far; its steps stand in the order of their start."""
        steps = sorted(self.steps.values(), key=lambda step: (step.slot, step.name, step.occurrence))
        return replace(self._state, steps=tuple(steps))

    def add_event(self, event: AppliesToState, at: datetime | None = None) -> None:
        """One event more, and when it was recorded: a step's `finished_at` is when its outcome was."""
        event.apply_to_state(self, at)

    def set_saga_fields(self, **changes: Any) -> None:
        """Change what is said of the saga as a whole."""
        self._state = replace(self._state, **changes)

    def resume(self) -> None:
        """The saga goes on where it was."""
        self.set_saga_fields(status="compensating" if self._state.turned_back else "running", reason=None)

    def end_incompatibility(self) -> None:
        """The saga goes on where it was, if it was incompatible; one that waits still does."""
        if self._state.status == "stranded":
            self.resume()

    def set_compensation_fields(
        self, step: str, occurrence: int, slot: int, state: CompensationState, awaits: StepWait | None = None
    ) -> None:
        """Change what is said of a step's compensation; one without a record may have been done."""
        known = self.steps.get((step, occurrence)) or StepState(step, occurrence, "step", "unknown", 0, None, slot)
        status: StepStatus = "compensated" if state.status in ("completed", "resolved") else known.status
        self.steps[step, occurrence] = replace(known, compensation=state, status=status, awaits=awaits)
