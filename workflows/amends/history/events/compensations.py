"""What happens while the steps of a saga are compensated."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, Literal

from domain.amends.event import event
from workflows.amends.history.replay_state import ProviderWait, ReplayFold
from workflows.amends.history.row import SagaRow
from workflows.amends.history.saga_event import OverviewEvent, SagaEvent, failed_attempt_text, shown_error_message
from workflows.amends.history.state import CompensationState, StateFold, StepWait
from workflows.amends.history.status import CompensationStatus
from workflows.amends.history.stored_error import Problem
from workflows.amends.history.timeline_bar import TimelineBar, step_bar

_STATUS: Final[dict[str, CompensationStatus]] = {"compensation": "completed", "skip": "skipped", "resolve": "resolved"}


@event("compensation-failed")
class CompensationFailed(OverviewEvent):
    """An attempt to undo a step failed; without `next_at` there is no further one."""

    step: str
    occurrence: int
    compensation: str
    slot: int
    attempts: int
    error: Problem
    next_at: datetime | None

    found: ClassVar[Literal["down", "answered"] | None] = "answered"

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        status: CompensationStatus = "retrying" if self.next_at else "failed"
        compensation = CompensationState(self.compensation, status, self.attempts, self.error)
        state.set_compensation_fields(self.step, self.occurrence, self.slot, compensation)

    def apply_to_replay(self, replay: ReplayFold) -> None:
        replay.failures[self.slot] = (self.attempts, self.next_at)
        replay.begun[self.slot] = self.compensation
        replay.end_provider_wait(self.slot)

    def overview_columns(self, row: SagaRow, at: datetime) -> Mapping[str, Any]:
        return {"retries": row.retries + 1}

    @classmethod
    def timeline_summary(cls, data: Mapping[str, Any], saga: str) -> str:
        return failed_attempt_text(data, "compensation")

    @classmethod
    def timeline_bar(cls, data: Mapping[str, Any]) -> TimelineBar | None:
        return step_bar(data, "failed", "retrying" if data["next_at"] else "failed")


@event("compensation-waiting")
class CompensationWaiting(SagaEvent):
    """A compensation waits for a provider that is down, since when and until when at most; that is no attempt."""

    step: str
    occurrence: int
    compensation: str
    slot: int
    attempts: int
    provider: str
    error: Problem
    since: datetime
    until: datetime

    found: ClassVar[Literal["down", "answered"] | None] = "down"

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        compensation = CompensationState(self.compensation, "retrying", self.attempts, self.error)
        awaits = StepWait("provider", self.provider, self.since, self.until)
        state.set_compensation_fields(self.step, self.occurrence, self.slot, compensation, awaits)

    def apply_to_replay(self, replay: ReplayFold) -> None:
        replay.provider_waits[self.slot] = ProviderWait(self.provider, self.since, False)
        replay.begun[self.slot] = self.compensation

    @classmethod
    def timeline_summary(cls, data: Mapping[str, Any], saga: str) -> str:
        return f"{data['compensation']} for {data['provider']}: {shown_error_message(data)}"

    @classmethod
    def timeline_bar(cls, data: Mapping[str, Any]) -> TimelineBar | None:
        return step_bar(data, "waits", f"waits for {data['provider']}")


@event("compensation-braked")
class CompensationBraked(SagaEvent):
    """A compensation waits at a brake, since when; that is no attempt."""

    step: str
    occurrence: int
    compensation: str
    slot: int
    attempts: int
    brake: str
    reason: str
    since: datetime

    repeats_errors: ClassVar[bool] = False

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        compensation = CompensationState(self.compensation, "retrying", self.attempts)
        awaits = StepWait("brake", self.brake, self.since, None)
        state.set_compensation_fields(self.step, self.occurrence, self.slot, compensation, awaits)

    def apply_to_replay(self, replay: ReplayFold) -> None:
        replay.provider_waits[self.slot] = ProviderWait("", self.since, False, self.brake)

    @classmethod
    def timeline_summary(cls, data: Mapping[str, Any], saga: str) -> str:
        return f"{data['compensation']} at brake {data['brake']}: {data['reason']}"

    @classmethod
    def timeline_bar(cls, data: Mapping[str, Any]) -> TimelineBar | None:
        return step_bar(data, "waits", f"waits at brake {data['brake']}")


@event("step-compensated")
class StepCompensated(OverviewEvent):
    """A step was undone, or an operator says that it was (`resolve`) or need not be (`skip`)."""

    step: str
    occurrence: int
    compensation: str
    slot: int
    attempts: int
    by: Literal["compensation", "skip", "resolve"] = "compensation"

    found: ClassVar[Literal["down", "answered"] | None] = "answered"

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        compensation = CompensationState(self.compensation, _STATUS[self.by], self.attempts)
        state.set_compensation_fields(self.step, self.occurrence, self.slot, compensation)

    def apply_to_replay(self, replay: ReplayFold) -> None:
        replay.begun.pop(self.slot, None)

    def overview_columns(self, row: SagaRow, at: datetime) -> Mapping[str, Any]:
        return {"steps_compensated": row.steps_compensated + 1}

    @classmethod
    def timeline_summary(cls, data: Mapping[str, Any], saga: str) -> str:
        by = "" if data["by"] == "compensation" else f" ({data['by']})"
        return f"{data['step']} by {data['compensation']}{by}"

    @classmethod
    def timeline_bar(cls, data: Mapping[str, Any]) -> TimelineBar | None:
        return step_bar(data, "done", _STATUS.get(data["by"], "completed"))
