"""What happens between a saga and those that it starts, and the signals by which these tell how they ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, Final

from domain.amends.event import event
from workflows.amends.history.events.steps import StepEvent
from workflows.amends.history.replay_state import ReplayFold, StartedChild
from workflows.amends.history.saga_event import SagaEvent
from workflows.amends.history.state import StateFold
from workflows.amends.history.status import StepStatus
from workflows.amends.history.timeline_bar import TimelineBar, step_bar

ENDED: Final = "child "
UNDONE: Final = "undone "
FROM_CHILD: Final = (ENDED, UNDONE)
"""How the signals begin by which children tell how they ended; the database sends them under the same names."""


def child_ended_signal(child: str) -> str:
    """The signal by which a child tells how it ended."""
    return f"{ENDED}{child}"


def child_undone_signal(child: str) -> str:
    """The signal by which a child tells that it was compensated after it had been completed."""
    return f"{UNDONE}{child}"


@event("child-started")
class ChildStarted(StepEvent):
    """A saga was started as a step of this one, which is suspended until that has ended."""

    child: str

    status: ClassVar[StepStatus] = "running"

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        super().apply_to_state(state, at)
        key = self.step, self.occurrence
        state.steps[key] = replace(state.steps[key], child=self.child)

    def apply_to_replay(self, replay: ReplayFold) -> None:
        started = StartedChild(self.child, self.arguments, self.started_at)
        replay.children.setdefault(self.slot, []).append(started)
        replay.begun[self.slot] = self.step
        replay.actions.pop(self.slot, None)

    @classmethod
    def timeline_summary(cls, data: Mapping[str, Any], saga: str) -> str:
        return f"{data['step']} as {data['child']}"

    @classmethod
    def timeline_bar(cls, data: Mapping[str, Any]) -> TimelineBar | None:
        return step_bar(data, "runs", f"runs as {data['child']}")


@event("child-recalled")
class ChildCompensationRequested(SagaEvent):
    """A saga that this one started is to be compensated."""

    slot: int
    child: str
    reason: str

    def apply_to_replay(self, replay: ReplayFold) -> None:
        replay.requested.add(self.child)

    @classmethod
    def timeline_summary(cls, data: Mapping[str, Any], saga: str) -> str:
        return f"{data['child']}: {data['reason']}"
