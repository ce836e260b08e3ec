"""A saga waits for a signal, or for a time: it rests as a row, and goes on in a new life."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pydantic import ValidationError

from workflows.amends.engine.cancellation import Turning
from workflows.amends.engine.history_writer import Chronicle
from workflows.amends.engine.suspension import Attention
from workflows.amends.history import TIMER, SagaWaiting, WaitEnded
from workflows.amends.ports.execution_log import Checkpoint, Parked, StatusChange
from workflows.amends.redaction.sensitive import hidden_values, marks
from workflows.amends.values.codec import load, plain, problems

T = TypeVar("T")

SOON = timedelta(seconds=1)
"""What is due so soon is waited for in this life: the database's clock may be a little ahead of ours."""


class Waiting:
    """The waits of one life of a saga."""

    def __init__(self, chronicle: Chronicle, attention: Attention, turning: Turning) -> None:
        self._chronicle, self._attention, self._turning = chronicle, attention, turning
        self._recording = chronicle.journal.recording
        self._taken: Counter[str] = Counter()

    async def receive(self, signal: str, payload: type[T], patience: timedelta | None) -> T | None:
        """What the saga was told under this name and has not asked for yet; None if its time came first."""
        slot = self._chronicle.journal.next_slot()
        name = f"receive {signal}"
        checkpoint = await self._attention.recorded(slot, name)
        mine = checkpoint is None or slot in self._recording.received  # a fork has not taken what it was copied with
        if checkpoint is None:
            checkpoint = await self._until_told(slot, name, signal, patience)
        self._chronicle.passed(checkpoint)
        told = plain(checkpoint.output or "null")
        if told is None:
            return None
        self._taken[signal] += mine
        self._chronicle.hide(hidden_values(told["payload"], marks(payload)))
        try:
            return load(told["payload"], payload)
        except ValidationError as error:
            wrong = problems(error)[0]
            await self._attention.stranded(f"signal {signal}, as it was told, does not fit its type: {wrong}")

    async def sleep(self, duration: timedelta) -> None:
        """Let so much time pass."""
        slot = self._chronicle.journal.next_slot()
        checkpoint = await self._attention.recorded(slot, "sleep")
        if checkpoint is None:
            checkpoint = await self._until_told(slot, "sleep", None, duration)
        self._chronicle.passed(checkpoint)

    async def _until_told(self, slot: int, name: str, signal: str | None, patience: timedelta | None) -> Checkpoint:
        """Record what ended the wait, or park. Whatever comes at the same moment is decided by the commit, once."""
        while True:
            self._turning.anywhere()
            await self._turning.tell_lost()
            told = self._next(signal)
            begun = self._recording.waits.get(slot)
            now = self._chronicle.journal.now()
            until = begun.until if begun else None if patience is None else now + patience
            wake = min((each for each in (until, self._turning.deadline) if each), default=None)
            if told is not None:
                if checkpoint := await self._end(slot, name, signal, "signal", {"payload": told[0]}):
                    return checkpoint
            elif begun and until is not None and until <= now:
                if checkpoint := await self._end(slot, name, signal, "time", None):
                    return checkpoint
            elif begun and wake is not None and wake - now < SOON:
                await self._chronicle.journal.pause(wake)
                continue
            else:
                await self._park(slot, signal, begun, until, wake)
            self._recording = await self._chronicle.journal.reload()
            self._chronicle.reread(self._recording)

    def _next(self, signal: str | None) -> tuple[Any] | None:
        """The oldest signal of this name that the saga has not taken."""
        if signal is None:
            return None
        received, taken = self._recording.signals.get(signal, ()), self._taken[signal]
        return (received[taken],) if len(received) > taken else None

    async def _end(self, slot: int, name: str, signal: str | None, by: Any, output: Any) -> Checkpoint | None:
        chronicle = self._chronicle
        checkpoint = chronicle.answered(slot, name, chronicle.journal.now(), output)
        entry = chronicle.entry(WaitEnded(slot, signal, by), checkpoint=checkpoint, change=StatusChange("running"))
        return checkpoint if await chronicle.write_if_untold(entry) else None

    async def _park(
        self, slot: int, signal: str | None, begun: SagaWaiting | None, until: datetime | None, wake: datetime | None
    ) -> None:
        """Rest, unless something was told meanwhile. Raises Parked."""
        told = [] if begun else [SagaWaiting(slot, signal, until)]
        change = StatusChange("waiting", None, signal or TIMER, wake)
        entry = self._chronicle.entry(*told, change=change, park=True, settled=True)
        if await self._chronicle.write_if_untold(entry):
            raise Parked
