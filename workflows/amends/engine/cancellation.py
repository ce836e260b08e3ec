"""Whether a saga is to turn back before its next step: because somebody wants it, or because its time is over.

That is looked at only past the last recorded step, and turning back is itself recorded, with the steps that are in
doubt: so every life of the saga turns back at the same place and undoes the same.
"""

from __future__ import annotations

from datetime import datetime

from workflows.amends.engine.compensation import TurnBack
from workflows.amends.engine.history_writer import Chronicle
from workflows.amends.engine.steps.step_execution import Begun
from workflows.amends.history import CancelLost, Problem
from workflows.amends.saga import Unknown

CANCELLED = "cancelled"
DEADLINE = "deadline"
GIVEN_UP = "given-up"
BEFORE_RUN = 0
"""The number under which a person is asked who must decide whether `run` may be run at all."""


class GaveUp(BaseException):
    """`run` stopped waiting for what it asked for, where there is no way back: a person must look at it."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


class Turning:
    """Looks out for reasons to turn back."""

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle
        self._journal = chronicle.journal
        self._lost = self._journal.recording.cancel_lost
        act = self._journal.recording.acts.get(BEFORE_RUN)
        self._skipped = act.reason if act and act.act == "skip" else None
        self.past_pivot = False
        self.given_up: str | None = None
        """What `run` stopped waiting for, by a time limit or a cancel of its own, if it did."""

    @property
    def deadline(self) -> datetime | None:
        """When the saga turns back by itself; None once there is no way back."""
        return None if self.past_pivot else self._journal.recording.deadline_at

    def before(self, begun: Begun) -> None:
        """Raise TurnBack rather than begin a step that is not recorded."""
        if back := self.recorded():
            begun.outcome = Unknown() if begun.slot in back.in_doubt else None
            raise back
        wanted = self.wanted()
        doubtful = begun.step.kind == "step" and self.tried_before(begun)
        if wanted is None or (doubtful and begun.step.pivot):
            return  # a pivot in doubt is asked again: it may have happened
        begun.in_doubt, begun.outcome = doubtful, Unknown() if doubtful else None
        raise wanted

    def between_attempts(self, begun: Begun, called: bool) -> None:
        """Raise TurnBack rather than try a step again; what was called and failed may have taken effect."""
        wanted = self.wanted()
        doubtful = called or self.tried_before(begun)
        doubtful = doubtful and begun.step.kind != "child"  # whether that was started is on record
        if wanted is None or (doubtful and begun.step.pivot):
            return
        begun.in_doubt, begun.outcome = doubtful, Unknown() if doubtful else None
        raise wanted

    def tried_before(self, begun: Begun) -> bool:
        """Whether an earlier life may have called somebody for this step."""
        recording = self._journal.recording
        waited = recording.provider_waits.get(begun.slot)
        return begun.doubtful or begun.slot in recording.failures or (waited is not None and waited.sent)

    def rather_than_stuck(self, begun: Begun) -> None:
        """Raise TurnBack rather than ask a person about a step that failed; a pivot that failed may have happened."""
        self.between_attempts(begun, called=begun.step.kind == "step" or begun.step.pivot)

    def anywhere(self) -> None:
        """Raise TurnBack where no step is begun: while the saga waits, or before it is completed."""
        if back := self.recorded() or self.wanted():
            raise back

    async def tell_lost(self) -> None:
        """Tell once that somebody wanted to cancel, but that the pivot was quicker."""
        reason = self._journal.cancelled()
        if self.past_pivot and reason is not None and not self._lost:
            self._lost = True
            await self._chronicle.write(self._chronicle.entry(CancelLost(reason)))

    def recorded(self) -> TurnBack | None:
        """The way back that an earlier life has begun, if it has."""
        back = self._journal.recording.turned_back
        if back is None:
            return None
        return TurnBack(back.reason, back.error or Problem("turned-back", back.reason), back.in_doubt)

    def wanted(self) -> TurnBack | None:
        """Why the saga should turn back now, if it should and still can. Raises GaveUp where it should, but cannot."""
        if self.given_up:
            told = f"run stopped waiting for {self.given_up}, by a time limit or a cancel of its own"
            if self.past_pivot:
                raise GaveUp(Problem(GIVEN_UP, told))
            return TurnBack(told, Problem(GIVEN_UP, told))
        if self.past_pivot:
            return None
        if skipped := self._skipped:
            return TurnBack(f"given up: {skipped}", Problem(GIVEN_UP, skipped))
        if reason := self._journal.cancelled():
            return TurnBack(f"cancelled: {reason}", Problem(CANCELLED, reason))
        if self.deadline and self._journal.now() >= self.deadline:
            told = f"its deadline, {self.deadline.isoformat(timespec='seconds')}, was over"
            return TurnBack(told, Problem(DEADLINE, told))
        return None
