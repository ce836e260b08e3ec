"""When a saga cannot go on by itself, and what operators do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

from pydantic import JsonValue

from domain.amends.event import event
from workflows.amends.history.replay_state import ActionTaken, ReplayFold, StuckReason
from workflows.amends.history.row import SagaRow
from workflows.amends.history.saga_event import OverviewEvent, SagaEvent, ValueTypeSource
from workflows.amends.history.state import CompensationState, StateFold, StepState
from workflows.amends.history.status import OperatorAction
from workflows.amends.history.stored_error import Problem
from workflows.amends.history.timeline_bar import OPERATOR, TimelineBar
from workflows.amends.values.printable import one_line


@event("event-loop-blocked")
class EventLoopBlocked(SagaEvent):
    """Code of the saga kept the event loop of its executor from answering for longer than its lease."""

    step: str | None
    seconds: float
    executor: str
    stack: str

    def stuck_reason(self) -> StuckReason:
        """Why a saga is stuck that blocked the event loop once more."""
        where = one_line(self.stack.splitlines()[0]) if self.stack else "at an unknown place"
        reason = f"{self.step or 'run'} blocked the event loop of its executor for {self.seconds:.1f} s, {where}"
        return StuckReason(f"{reason}; it is not the first time", self.step is not None)

    def apply_to_replay(self, replay: ReplayFold) -> None:
        replay.blocks.append(self.stuck_reason())

    @classmethod
    def timeline_summary(cls, data: Mapping[str, Any], saga: str) -> str:
        return f"{data['step'] or 'run'} for {data['seconds']:.1f} s"


@event("saga-stuck")
class SagaStuck(OverviewEvent):
    """The saga waits for an operator; `step` is what it cannot get past, None if that is the code between the steps."""

    reason: str
    slot: int
    step: str | None = None
    occurrence: int = 1
    kind: str = "step"
    attempts: int = 0
    compensation: str | None = None
    error: Problem | None = None

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        if self.step is not None and self.compensation:
            compensation = CompensationState(self.compensation, "failed", self.attempts, self.error)
            state.set_compensation_fields(self.step, self.occurrence, self.slot, compensation)
        elif self.step is not None:
            key = self.step, self.occurrence
            known = state.steps.get(key)
            started_at, child = (known.started_at, known.child) if known else (None, None)
            step = StepState(*key, self.kind, "failed", self.attempts, started_at, self.slot)
            state.steps[key] = replace(step, error=self.error, child=child)
        state.set_saga_fields(status="stuck", reason=self.reason)

    def apply_to_replay(self, replay: ReplayFold) -> None:
        replay.actions.pop(self.slot, None)
        if self.step is not None and self.kind == "step":  # of what else fails it is known that nothing was done
            replay.begun[self.slot] = self.compensation or self.step

    def overview_columns(self, row: SagaRow, at: datetime) -> Mapping[str, Any]:
        compensation = "stuck" if self.compensation else row.compensation
        changes = {"status": "stuck", "reason": self.reason, "compensation": compensation}
        if self.step:
            error = self.error.message if self.error else self.reason
            changes |= {"failing_step": self.step, "failing_error": error}
        return changes

    @classmethod
    def timeline_bar(cls, data: Mapping[str, Any]) -> TimelineBar | None:
        return TimelineBar(OPERATOR, 0, "waits", "is asked to act")


@event("operator-acted")
class OperatorActed(OverviewEvent):
    """What an operator decided about a stuck saga; the actor stands in the event's metadata."""

    act: OperatorAction
    reason: str
    slot: int
    step: str | None = None
    result: JsonValue = None

    repeats_errors: ClassVar[bool] = False

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        state.resume()

    def apply_to_replay(self, replay: ReplayFold) -> None:
        replay.actions[self.slot] = ActionTaken(self.act, self.reason, self.step, self.result)
        replay.failures.pop(self.slot, None)
        replay.end_provider_wait(self.slot)
        replay.blocks.clear()

    def overview_columns(self, row: SagaRow, at: datetime) -> Mapping[str, Any]:
        return row.active_columns()

    @classmethod
    def timeline_summary(cls, data: Mapping[str, Any], saga: str) -> str:
        return f"{data['act']}: {data['reason']}"

    @classmethod
    def timeline_bar(cls, data: Mapping[str, Any]) -> TimelineBar | None:
        return TimelineBar(OPERATOR, 0, "ends", str(data["act"]))

    @classmethod
    def value_types(cls, data: Mapping[str, Any]) -> Mapping[str, ValueTypeSource]:
        step = data.get("step")
        return {"result": ValueTypeSource("output") if step is None else ValueTypeSource("result", str(step))}


@event("operator-resumed")
class OperatorResumed(OverviewEvent):
    """An operator lets a saga go on that was terminated in DBOS's own tools."""

    reason: str

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        state.resume()

    def apply_to_replay(self, replay: ReplayFold) -> None:
        replay.blocks.clear()

    def overview_columns(self, row: SagaRow, at: datetime) -> Mapping[str, Any]:
        return row.active_columns()


@event("saga-migrated")
class SagaMigrated(OverviewEvent):
    """An operator has moved the saga to another version of its code: it goes on with that one from here on."""

    from_version: int
    to_version: int
    reason: str

    repeats_errors: ClassVar[bool] = False

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        state.end_incompatibility()

    def overview_columns(self, row: SagaRow, at: datetime) -> Mapping[str, Any]:
        return {"version": self.to_version} | (row.active_columns() if row.status == "stranded" else {})

    @classmethod
    def timeline_summary(cls, data: Mapping[str, Any], saga: str) -> str:
        return f"from version {data['from_version']} to {data['to_version']}: {data['reason']}"

    @classmethod
    def timeline_bar(cls, data: Mapping[str, Any]) -> TimelineBar | None:
        return TimelineBar(OPERATOR, 0, "ends", f"version {data['to_version']}")


@event("saga-stranded")
class SagaIncompatible(OverviewEvent):
    """No code here fits what is recorded."""

    reason: str

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        state.set_saga_fields(status="stranded", reason=self.reason)

    def overview_columns(self, row: SagaRow, at: datetime) -> Mapping[str, Any]:
        return {"status": "stranded", "reason": self.reason}


@event("saga-resumed")
class SagaResumed(OverviewEvent):
    """Fitting code is back."""

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        state.resume()

    def overview_columns(self, row: SagaRow, at: datetime) -> Mapping[str, Any]:
        return row.active_columns()


@event("saga-abandoned")
class SagaTerminated(OverviewEvent):
    """The workflow was terminated externally: an operator must look at it."""

    reason: str

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        state.set_saga_fields(status="abandoned", reason=self.reason)

    def overview_columns(self, row: SagaRow, at: datetime) -> Mapping[str, Any]:
        return {"status": "abandoned", "reason": self.reason}
