"""What happens to the steps of a saga."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import JsonValue

from domain.amends.event import event
from workflows.amends.history.replay_state import ProviderWait, ReplayFold
from workflows.amends.history.row import SagaRow
from workflows.amends.history.saga_event import (
    OverviewEvent,
    SagaEvent,
    ValueTypeSource,
    failed_attempt_text,
    shown_error_message,
)
from workflows.amends.history.state import StateFold, StepState, StepWait
from workflows.amends.history.status import StepStatus
from workflows.amends.history.stored_error import Problem
from workflows.amends.history.timeline_bar import TimelineBar, step_bar


@dataclass(frozen=True)
class StepEvent(SagaEvent):
    """What all events about a step say: `slot` is its number in DBOS, `arguments` a digest for replays."""

    step: str
    occurrence: int
    kind: str
    slot: int
    arguments: str
    started_at: datetime

    status: ClassVar[StepStatus]
    """How the step stands from here on."""
    settles: ClassVar[bool] = False
    """Whether it is the outcome of the step: when it was recorded is when the step was finished."""

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        key = self.step, self.occurrence
        known = state.steps.get(key)
        state.steps[key] = StepState(
            self.step,
            self.occurrence,
            self.kind,
            self.status,
            getattr(self, "attempts", 0),
            self.started_at,
            self.slot,
            at if self.settles else None,
            getattr(self, "error", None),
            getattr(self, "next_at", None),
            child=known.child if known else None,
        )

    @classmethod
    def timeline_bar(cls, data: Mapping[str, Any]) -> TimelineBar | None:
        return step_bar(data, "done" if cls.status in ("completed", "skipped") else "failed", cls.status)


@dataclass(frozen=True)
class StepOutcome(StepEvent):
    """The outcome of a step: it is recorded with a digest of the arguments, and made again for the same ones only."""

    settles: ClassVar[bool] = True

    def apply_to_replay(self, replay: ReplayFold) -> None:
        replay.arguments[self.slot] = self.arguments
        replay.begun.pop(self.slot, None)


@event("step-completed")
class StepCompleted(StepOutcome, OverviewEvent):
    attempts: int
    result: JsonValue

    status: ClassVar[StepStatus] = "completed"
    found: ClassVar[Literal["down", "answered"] | None] = "answered"

    def overview_columns(self, row: SagaRow, at: datetime) -> Mapping[str, Any]:
        return {"steps_completed": row.steps_completed + 1}

    @classmethod
    def timeline_summary(cls, data: Mapping[str, Any], saga: str) -> str:
        again = f", at attempt {data['attempts']}" if data["attempts"] > 1 else ""
        return f"{data['step']}{again}"

    @classmethod
    def value_types(cls, data: Mapping[str, Any]) -> Mapping[str, ValueTypeSource]:
        return {"result": ValueTypeSource("result", str(data.get("step")))}


@event("step-refused")
class StepRefused(StepOutcome, OverviewEvent):
    """The answer was no, and nothing happened."""

    attempts: int
    error: Problem

    status: ClassVar[StepStatus] = "refused"
    found: ClassVar[Literal["down", "answered"] | None] = "answered"

    def overview_columns(self, row: SagaRow, at: datetime) -> Mapping[str, Any]:
        return {"failing_step": self.step, "failing_error": self.error.message}

    @classmethod
    def timeline_summary(cls, data: Mapping[str, Any], saga: str) -> str:
        return failed_attempt_text(data, "step")


@event("step-retrying")
class StepRetrying(StepEvent, OverviewEvent):
    """An attempt failed; the next one is due at `next_at`."""

    attempts: int
    error: Problem
    next_at: datetime

    status: ClassVar[StepStatus] = "retrying"
    found: ClassVar[Literal["down", "answered"] | None] = "answered"

    def apply_to_replay(self, replay: ReplayFold) -> None:
        replay.failures[self.slot] = (self.attempts, self.next_at)
        replay.begun[self.slot] = self.step
        replay.end_provider_wait(self.slot)

    def overview_columns(self, row: SagaRow, at: datetime) -> Mapping[str, Any]:
        return {"retries": row.retries + 1}

    @classmethod
    def timeline_summary(cls, data: Mapping[str, Any], saga: str) -> str:
        return failed_attempt_text(data, "step")


@event("step-waiting")
class StepWaiting(StepEvent):
    """A step waits for a provider that is down, since when and until when at most; that is no attempt.

    `sent` says that it may have taken effect all the same: something was sent before the provider was found down.
    """

    attempts: int
    provider: str
    error: Problem
    since: datetime
    until: datetime
    sent: bool

    status: ClassVar[StepStatus] = "running"
    found: ClassVar[Literal["down", "answered"] | None] = "down"

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        super().apply_to_state(state, at)
        key = self.step, self.occurrence
        awaits = StepWait("provider", self.provider, self.since, self.until)
        state.steps[key] = replace(state.steps[key], awaits=awaits)

    def apply_to_replay(self, replay: ReplayFold) -> None:
        replay.provider_waits[self.slot] = ProviderWait(self.provider, self.since, self.sent)
        replay.begun[self.slot] = self.step

    @classmethod
    def timeline_summary(cls, data: Mapping[str, Any], saga: str) -> str:
        return f"{data['step']} for {data['provider']}: {shown_error_message(data)}"

    @classmethod
    def timeline_bar(cls, data: Mapping[str, Any]) -> TimelineBar | None:
        return step_bar(data, "waits", f"waits for {data['provider']}")


@event("step-braked")
class StepBraked(StepEvent):
    """A step waits at a brake, since when; that is no attempt. `sent` is as for one that waits for a provider."""

    attempts: int
    brake: str
    reason: str
    since: datetime
    sent: bool

    status: ClassVar[StepStatus] = "running"
    repeats_errors: ClassVar[bool] = False

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        super().apply_to_state(state, at)
        key = self.step, self.occurrence
        state.steps[key] = replace(state.steps[key], awaits=StepWait("brake", self.brake, self.since, None))

    def apply_to_replay(self, replay: ReplayFold) -> None:
        replay.provider_waits[self.slot] = ProviderWait("", self.since, self.sent, self.brake)
        if self.sent:  # else it has not begun
            replay.begun[self.slot] = self.step

    @classmethod
    def timeline_summary(cls, data: Mapping[str, Any], saga: str) -> str:
        return f"{data['step']} at brake {data['brake']}: {data['reason']}"

    @classmethod
    def timeline_bar(cls, data: Mapping[str, Any]) -> TimelineBar | None:
        return step_bar(data, "waits", f"waits at brake {data['brake']}")


@event("step-failed")
class StepFailed(StepOutcome, OverviewEvent):
    """No attempt was answered: nobody knows whether it happened."""

    attempts: int
    error: Problem

    status: ClassVar[StepStatus] = "unknown"
    found: ClassVar[Literal["down", "answered"] | None] = "answered"

    def overview_columns(self, row: SagaRow, at: datetime) -> Mapping[str, Any]:
        return {"failing_step": self.step, "failing_error": self.error.message}

    @classmethod
    def timeline_summary(cls, data: Mapping[str, Any], saga: str) -> str:
        return failed_attempt_text(data, "step")


@event("step-skipped")
class StepSkipped(StepOutcome):
    """An operator decided that it was not done and need not be."""

    reason: str

    status: ClassVar[StepStatus] = "skipped"
