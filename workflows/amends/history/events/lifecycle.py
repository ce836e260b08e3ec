"""How a saga starts and ends, and how it comes to be compensated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from domain.amends.event import Payload, event, upcasts
from workflows.amends.history.replay_state import ReplayFold, StartedCompensation
from workflows.amends.history.row import SagaRow
from workflows.amends.history.saga_event import OverviewEvent, SagaEvent, ValueTypeSource
from workflows.amends.history.state import StateFold
from workflows.amends.history.stored_error import Problem


@event("saga-started")
class SagaStarted(OverviewEvent):
    """The first event of each saga; it is the one that makes its row in the overview."""

    name: str
    version: int
    reference: str
    root: str
    input: JsonValue

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        state.set_saga_fields(input=self.input)

    def overview_row(self, row: SagaRow | None, id: str, at: datetime) -> SagaRow:
        return SagaRow(id, self.name, self.version, self.reference, "running", None, None, at, at)

    @classmethod
    def timeline_summary(cls, data: Mapping[str, Any], saga: str) -> str:
        reference = f" for {data['reference']}" if data["reference"] not in ("", saga) else ""
        return f"{data['name']} version {data['version']} {saga}{reference}".strip()

    @classmethod
    def value_types(cls, data: Mapping[str, Any]) -> Mapping[str, ValueTypeSource]:
        return {"input": ValueTypeSource("input", saga=(str(data.get("name")), data.get("version", 0)))}


@event("cancel-requested")
class CancelRequested(SagaEvent):
    """Somebody wants the saga cancelled; it looks at this between its steps."""

    reason: str

    def apply_to_replay(self, replay: ReplayFold) -> None:
        replay.cancel = self.reason if replay.cancel is None else replay.cancel
        replay.compensation_requested = replay.compensation_requested or replay.completed  # only its parent can want it
        replay.blocks.clear()


@event("cancel-lost")
class CancelLost(SagaEvent):
    """The pivot was quicker than the wish to cancel: there is no way back."""

    reason: str

    def apply_to_replay(self, replay: ReplayFold) -> None:
        replay.cancel_lost = True


@event("saga-compensating", version=2)
class SagaCompensating(OverviewEvent):
    """The compensation of the saga has begun.

    `in_doubt` are the numbers of steps whose outcome is unknown, without a record: they are compensated too.
    """

    reason: str
    error: Problem | None = None
    in_doubt: tuple[int, ...] = ()

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        for key, step in list(state.steps.items()):  # one that waited for its provider has not begun, or is unknown
            if step.awaits and step.slot in self.in_doubt:
                state.steps[key] = replace(step, status="unknown", awaits=None)
            elif step.awaits:
                del state.steps[key]
        state.set_saga_fields(
            status="compensating", turned_back=True, reason=self.reason, error=self.error, result=None
        )
        state.set_saga_fields(waiting_for=None, waiting_until=None)

    def apply_to_replay(self, replay: ReplayFold) -> None:
        if replay.compensation is None:
            replay.compensation = StartedCompensation(self.reason, self.error, self.in_doubt)

    def overview_columns(self, row: SagaRow, at: datetime) -> Mapping[str, Any]:
        return {
            "status": "compensating",
            "outcome": None,
            "finished_at": None,
            "duration_seconds": None,
            "waiting_for": None,
            "reason": self.reason,
            "compensation": "running",
        }


@upcasts(SagaCompensating, 1)
def _none_unknown(data: Payload) -> Payload:
    return data | {"in_doubt": []}


@event("saga-completed")
class SagaCompleted(OverviewEvent):
    """`run` has returned a result."""

    result: JsonValue

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        state.set_saga_fields(status="completed", result=self.result, reason=None)

    def apply_to_replay(self, replay: ReplayFold) -> None:
        replay.completed = True

    def overview_columns(self, row: SagaRow, at: datetime) -> Mapping[str, Any]:
        return row.finished_columns("completed", at) | {"reason": None}

    @classmethod
    def value_types(cls, data: Mapping[str, Any]) -> Mapping[str, ValueTypeSource]:
        return {"result": ValueTypeSource("output")}


@event("saga-compensated")
class SagaCompensated(OverviewEvent):
    """Everything that was done, or may have been done, was undone."""

    reason: str

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        state.set_saga_fields(status="compensated", reason=self.reason)

    def overview_columns(self, row: SagaRow, at: datetime) -> Mapping[str, Any]:
        return row.finished_columns("compensated", at) | {"reason": self.reason, "compensation": "done"}
