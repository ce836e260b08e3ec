"""A saga waits for a signal, or for a time: it rests as a row, and goes on in a new life."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pydantic import ValidationError

from workflows.amends.engine.cancellation import Cancellation
from workflows.amends.engine.history_writer import HistoryWriter
from workflows.amends.engine.suspension import Suspension
from workflows.amends.history import TIMER, SagaWaiting, WaitEnded
from workflows.amends.history.replay_state import Checkpoint
from workflows.amends.ports.execution_log import StatusChange, Suspended
from workflows.amends.redaction.sensitive import hidden_values, marks
from workflows.amends.values.codec import load, plain, problems

T = TypeVar("T")

SOON = timedelta(seconds=1)
"""What is due so soon is waited for in this life: the database's clock may be a little ahead of ours."""


class Waiting:
    """The waits of one life of a saga."""

    def __init__(self, history: HistoryWriter, suspension: Suspension, cancellation: Cancellation) -> None:
        self._history, self._suspension, self._cancellation = history, suspension, cancellation
        self._replay = history.execution_log.replay
        self._taken: Counter[str] = Counter()

    async def receive(self, signal: str, payload: type[T], patience: timedelta | None) -> T | None:
        """What the saga was told under this name and has not asked for yet; None if its time came first."""
        step_id = self._history.execution_log.next_step_id()
        name = f"receive {signal}"
        checkpoint = await self._suspension.recorded(step_id, name)
        mine = checkpoint is None or step_id in self._replay.received  # a fork has not taken what it was copied with
        if checkpoint is None:
            checkpoint = await self._until_told(step_id, name, signal, patience)
        self._history.passed(checkpoint)
        told = plain(checkpoint.output or "null")
        if told is None:
            return None
        self._taken[signal] += mine
        self._history.hide(hidden_values(told["payload"], marks(payload)))
        try:
            return load(told["payload"], payload)
        except ValidationError as error:
            wrong = problems(error)[0]
            await self._suspension.stranded(f"signal {signal}, as it was told, does not fit its type: {wrong}")

    async def sleep(self, duration: timedelta) -> None:
        """Let so much time pass."""
        step_id = self._history.execution_log.next_step_id()
        checkpoint = await self._suspension.recorded(step_id, "sleep")
        if checkpoint is None:
            checkpoint = await self._until_told(step_id, "sleep", None, duration)
        self._history.passed(checkpoint)

    async def _until_told(self, step_id: int, name: str, signal: str | None, patience: timedelta | None) -> Checkpoint:
        """Record what ended the wait, or park. Whatever comes at the same moment is decided by the commit, once."""
        while True:
            self._cancellation.anywhere()
            await self._cancellation.tell_lost()
            told = self._next(signal)
            begun = step_id in self._replay.waits
            now = self._history.execution_log.now()
            until = self._replay.waits[step_id] if begun else None if patience is None else now + patience
            wake = min((each for each in (until, self._cancellation.deadline) if each), default=None)
            if told is not None:
                if checkpoint := await self._end(step_id, name, signal, "signal", {"payload": told[0]}):
                    return checkpoint
            elif begun and until is not None and until <= now:
                if checkpoint := await self._end(step_id, name, signal, "time", None):
                    return checkpoint
            elif begun and wake is not None and wake - now < SOON:
                await self._history.execution_log.pause(wake)
                continue
            else:
                await self._park(step_id, signal, begun, until, wake)
            self._replay = await self._history.execution_log.reload()
            self._history.reread(self._replay)

    def _next(self, signal: str | None) -> tuple[Any] | None:
        """The oldest signal of this name that the saga has not taken."""
        if signal is None:
            return None
        received, taken = self._replay.signals.get(signal, ()), self._taken[signal]
        return (received[taken],) if len(received) > taken else None

    async def _end(self, step_id: int, name: str, signal: str | None, by: Any, output: Any) -> Checkpoint | None:
        history = self._history
        checkpoint = history.answered(step_id, name, history.execution_log.now(), output)
        step_commit = history.step_commit(
            WaitEnded(step_id, signal, by), checkpoint=checkpoint, change=StatusChange("running")
        )
        return checkpoint if await history.write_if_untold(step_commit) else None

    async def _park(
        self,
        step_id: int,
        signal: str | None,
        begun: bool,
        until: datetime | None,
        wake: datetime | None,
    ) -> None:
        """Rest, unless something was told meanwhile. Raises Parked."""
        told = [] if begun else [SagaWaiting(step_id, signal, until)]
        change = StatusChange("waiting", None, signal or TIMER, wake)
        step_commit = self._history.step_commit(*told, change=change, suspend=True, settled=True)
        if await self._history.write_if_untold(step_commit):
            raise Suspended
