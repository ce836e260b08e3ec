"""A saga waits for a signal, or for a time: it is suspended as a row, and goes on in a new execution."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pydantic import ValidationError

from workflows.amends.engine.cancellation import Cancellation
from workflows.amends.engine.history_writer import HistoryWriter
from workflows.amends.engine.suspension import Suspension
from workflows.amends.history import TIMER, SagaWaiting, WaitEnded
from workflows.amends.history.events.waits import wait_name
from workflows.amends.history.replay_state import Checkpoint
from workflows.amends.ports.execution_log import StatusChange, StepCommit, Suspended
from workflows.amends.redaction.sensitive import hidden_values, marked_shape
from workflows.amends.values.codec import parse_json, wrong_fields
from workflows.amends.values.whole import load_whole

T = TypeVar("T")

SOON = timedelta(seconds=1)
"""What is due so soon is waited for in this execution: the database's clock may be a little ahead of ours."""


class SignalsAndTimers:
    """The waits of one execution of a saga."""

    def __init__(self, history: HistoryWriter, suspension: Suspension, cancellation: Cancellation) -> None:
        self._history, self._suspension, self._cancellation = history, suspension, cancellation
        self._taken: Counter[str] = Counter()

    async def receive(self, signal: str, payload: type[T], patience: timedelta | None) -> T | None:
        """What the saga was told under this name and has not asked for yet; None if its time came first."""
        step_id = self._history.execution_log.next_step_id()
        name = wait_name(signal)
        checkpoint = await self._suspension.matching_checkpoint(step_id, name)
        # A fork has not taken what it was copied with.
        mine = checkpoint is None or step_id in self._history.current.received
        if checkpoint is None:
            checkpoint = await self._until_told(step_id, name, signal, patience)
        self._history.note_checkpoint(checkpoint)
        told = parse_json(checkpoint.output or "null")
        if told is None:
            return None
        self._taken[signal] += mine
        self._history.hide_values(hidden_values(told["payload"], marked_shape(payload)))
        try:
            return load_whole(told["payload"], payload)
        except ValidationError as error:
            wrong = wrong_fields(error)[0]
            await self._suspension.suspend_incompatible(
                f"signal {signal}, as it was told, does not fit its type: {wrong}"
            )

    async def sleep(self, duration: timedelta) -> None:
        """Let so much time pass."""
        step_id, name = self._history.execution_log.next_step_id(), wait_name(None)
        checkpoint = await self._suspension.matching_checkpoint(step_id, name)
        if checkpoint is None:
            checkpoint = await self._until_told(step_id, name, None, duration)
        self._history.note_checkpoint(checkpoint)

    async def _until_told(self, step_id: int, name: str, signal: str | None, patience: timedelta | None) -> Checkpoint:
        """Record what ended the wait. Whatever comes at the same moment is decided by the commit, once.

        Raises Suspended, which is on record, if nothing has ended it yet.
        """

        async def end_or_suspend() -> StepCommit:
            while True:
                self._cancellation.check_outside_steps()
                await self._cancellation.record_cancel_lost()
                told, begun = self._next(signal), step_id in self._history.current.waits
                now = self._history.execution_log.now()
                until = self._history.current.waits[step_id] if begun else None if patience is None else now + patience
                wake = min((each for each in (until, self._cancellation.deadline) if each), default=None)
                if told is not None:
                    return self._ended(step_id, name, signal, "signal", {"payload": told[0]})
                if begun and until is not None and until <= now:
                    return self._ended(step_id, name, signal, "time", None)
                if not begun or wake is None or wake - now >= SOON:
                    return self._suspended(step_id, signal, begun, until, wake)
                await self._history.execution_log.wait_until(wake)

        written = await self._history.write_current(end_or_suspend)
        if written is None or written.checkpoint is None:
            raise Suspended
        return written.checkpoint

    def _next(self, signal: str | None) -> tuple[Any] | None:
        """The oldest signal of this name that the saga has not taken."""
        if signal is None:
            return None
        received, taken = self._history.current.signals.get(signal, ()), self._taken[signal]
        return (received[taken],) if len(received) > taken else None

    def _ended(self, step_id: int, name: str, signal: str | None, by: Any, output: Any) -> StepCommit:
        history = self._history
        checkpoint = history.answered_checkpoint(step_id, name, history.execution_log.now(), output)
        over = WaitEnded(step_id, signal, by)
        return history.step_commit(over, checkpoint=checkpoint, change=StatusChange("running"))

    def _suspended(
        self, step_id: int, signal: str | None, begun: bool, until: datetime | None, wake: datetime | None
    ) -> StepCommit:
        told = [] if begun else [SagaWaiting(step_id, signal, until)]
        change = StatusChange("waiting", None, signal or TIMER, wake)
        return self._history.step_commit(*told, change=change, suspend=True, settled=True)
