"""What happens to a saga that waits for a signal, or for a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import JsonValue

from domain.amends.event import event
from workflows.amends.history.events.children import FROM_CHILD
from workflows.amends.history.replay_state import ReplayFold
from workflows.amends.history.row import SagaRow
from workflows.amends.history.saga_event import OverviewEvent, SagaEvent, ValueTypeSource
from workflows.amends.history.state import StateFold
from workflows.amends.history.status import TIMER
from workflows.amends.history.timeline_bar import TimelineBar


def wait_name(signal: str | None) -> str:
    """The name under which a wait for a signal, or for a time, is recorded as a step."""
    return "sleep" if signal is None else f"receive {signal}"


@event("saga-waiting")
class SagaWaiting(OverviewEvent):
    """The saga is suspended until a signal comes, or until a time; without a signal it is just a timer."""

    slot: int
    signal: str | None
    until: datetime | None

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        state.set_saga_fields(status="waiting", waiting_for=self.signal or TIMER, waiting_until=self.until)

    def apply_to_replay(self, replay: ReplayFold) -> None:
        replay.waits[self.slot] = self.until
        if self.signal is None or not self.signal.startswith(FROM_CHILD):
            replay.begun[self.slot] = wait_name(self.signal)

    def overview_columns(self, row: SagaRow, at: datetime) -> Mapping[str, Any]:
        return {"status": "waiting", "waiting_for": self.signal or TIMER}

    @classmethod
    def timeline_summary(cls, data: Mapping[str, Any], saga: str) -> str:
        until = f" until {data['until']}" if data["until"] else ""
        return f"for {data['signal'] or 'a while'}{until}"

    @classmethod
    def timeline_bar(cls, data: Mapping[str, Any]) -> TimelineBar | None:
        until = f" until {data['until']}" if data["until"] else ""
        return TimelineBar(data["signal"] or TIMER, 0, "waits", f"waits{until}")


@event("signal-received")
class SignalReceived(SagaEvent):
    """A signal to the saga came; it is kept until the saga asks for it."""

    signal: str
    payload: JsonValue

    def apply_to_replay(self, replay: ReplayFold) -> None:
        replay.signals.setdefault(self.signal, []).append(self.payload)

    @classmethod
    def timeline_summary(cls, data: Mapping[str, Any], saga: str) -> str:
        if str(data["signal"]).startswith(FROM_CHILD):
            return f"{data['signal']}: {data['payload']['status']}"
        return f"{data['signal']}: {json.dumps(data['payload'])}"

    @classmethod
    def value_types(cls, data: Mapping[str, Any]) -> Mapping[str, ValueTypeSource]:
        signal = str(data.get("signal"))
        if signal.startswith(FROM_CHILD):
            return {"payload": ValueTypeSource("child", signal.partition(" ")[2])}
        return {"payload": ValueTypeSource("signal", signal)}


@event("wait-ended")
class WaitEnded(OverviewEvent):
    """The saga goes on: the signal came that it waited for, or its time."""

    slot: int
    signal: str | None
    by: Literal["signal", "time"]

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        state.set_saga_fields(status="running", waiting_for=None, waiting_until=None)

    def apply_to_replay(self, replay: ReplayFold) -> None:
        if self.by == "signal":
            replay.received.add(self.slot)
        replay.begun.pop(self.slot, None)

    def overview_columns(self, row: SagaRow, at: datetime) -> Mapping[str, Any]:
        return {"status": "running", "waiting_for": None}

    @classmethod
    def timeline_summary(cls, data: Mapping[str, Any], saga: str) -> str:
        return f"{data['signal'] or 'timer'}, by {data['by']}"

    @classmethod
    def timeline_bar(cls, data: Mapping[str, Any]) -> TimelineBar | None:
        return TimelineBar(data["signal"] or TIMER, 0, "ends", "came" if data["by"] == "signal" else "over")
