"""Whether a saga is to be compensated before its next step: because somebody wants it, or because its time is over.

That is looked at only past the last recorded step, and turning back is itself recorded, with the steps that are in
doubt: so every execution of the saga starts compensation at the same place and undoes the same.
"""

from __future__ import annotations

from datetime import datetime

from workflows.amends.call import OutcomeUnknown
from workflows.amends.engine.history_writer import HistoryWriter
from workflows.amends.engine.steps.step_execution import StepExecution
from workflows.amends.history import CancelLost, Problem

CANCELLED = "cancelled"
DEADLINE = "deadline"
GIVEN_UP = "given-up"
BEFORE_RUN = 0
"""The number under which an operator is asked whether `run` may be run at all."""


class CompensationStart(BaseException):
    """There is only the way back from here; not an Exception, so that `run` cannot catch it."""

    def __init__(self, reason: str, problem: Problem, in_doubt: tuple[int, ...] = ()) -> None:
        self.reason, self.problem, self.in_doubt = reason, problem, in_doubt


class RunStuck(BaseException):
    """`run` stopped waiting for what it asked for, where there is no way back: an operator must look at it."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


class Cancellation:
    """Looks for reasons to start the compensation."""

    def __init__(self, history: HistoryWriter) -> None:
        self._history = history
        self._execution_log = history.execution_log
        self._lost = self._execution_log.replay.cancel_lost
        act = self._execution_log.replay.actions.get(BEFORE_RUN)
        self._skipped = act.reason if act and act.action == "skip" else None
        self.past_pivot = False
        self.given_up: str | None = None
        """What `run` stopped waiting for, by a time limit or a cancel of its own, if it did."""

    @property
    def deadline(self) -> datetime | None:
        """When the saga is compensated by itself; None once there is no way back."""
        return None if self.past_pivot else self._execution_log.replay.deadline_at

    def check_before_step(self, step_execution: StepExecution) -> None:
        """Raise CompensationStart rather than begin a step that is not recorded."""
        if back := self.recorded_compensation_start():
            step_execution.outcome = OutcomeUnknown() if step_execution.step_id in back.in_doubt else None
            raise back
        wanted = self.due_compensation_start()
        doubtful = step_execution.step.kind == "step" and self.may_have_been_tried(step_execution)
        if wanted is None or (doubtful and step_execution.step.pivot):
            return  # a pivot in doubt is asked again: it may have happened
        step_execution.in_doubt, step_execution.outcome = doubtful, OutcomeUnknown() if doubtful else None
        raise wanted

    def check_between_attempts(self, step_execution: StepExecution, called: bool) -> None:
        """Raise CompensationStart rather than try a step again; what was called and failed may have taken effect."""
        wanted = self.due_compensation_start()
        kind = (
            step_execution.step.kind
        )  # of a transaction, and of the start of a child, it is on record whether it was done
        doubtful = (called and kind != "child") or (kind == "step" and self.may_have_been_tried(step_execution))
        if wanted is None or (doubtful and step_execution.step.pivot):
            return
        step_execution.in_doubt, step_execution.outcome = doubtful, OutcomeUnknown() if doubtful else None
        raise wanted

    def may_have_been_tried(self, step_execution: StepExecution) -> bool:
        """Whether an earlier execution may have called somebody for this step."""
        replay = self._execution_log.replay
        waited = replay.provider_waits.get(step_execution.step_id)
        return (
            step_execution.doubtful or step_execution.step_id in replay.failures or (waited is not None and waited.sent)
        )

    def check_before_stuck(self, step_execution: StepExecution) -> None:
        """Raise CompensationStart rather than ask about a step that failed; a pivot that failed may have happened."""
        self.check_between_attempts(
            step_execution, called=step_execution.step.kind == "step" or step_execution.step.pivot
        )

    def check_outside_steps(self) -> None:
        """Raise CompensationStart where no step is begun: while the saga waits, or before it is completed."""
        if back := self.recorded_compensation_start() or self.due_compensation_start():
            raise back

    async def record_cancel_lost(self) -> None:
        """Tell once that somebody wanted to cancel, but that the pivot was quicker."""
        reason = self._execution_log.cancel_reason()
        if self.past_pivot and reason is not None and not self._lost:
            self._lost = True
            await self._history.write(self._history.step_commit(CancelLost(reason)))

    def recorded_compensation_start(self) -> CompensationStart | None:
        """The start of compensation that an earlier execution has recorded, if it has."""
        begun = self._execution_log.replay.compensation
        if begun is None:
            return None
        problem = begun.problem or Problem("turned-back", begun.reason)
        return CompensationStart(begun.reason, problem, begun.outcome_unknown)

    def due_compensation_start(self) -> CompensationStart | None:
        """Why compensation should start now, if it should and still can. Raises RunStuck where it should but cannot."""
        if self.given_up:
            told = f"run stopped waiting for {self.given_up}, by a time limit or a cancel of its own"
            if self.past_pivot:
                raise RunStuck(Problem(GIVEN_UP, told))
            return CompensationStart(told, Problem(GIVEN_UP, told))
        if self.past_pivot:
            return None
        if skipped := self._skipped:
            return CompensationStart(f"given up: {skipped}", Problem(GIVEN_UP, skipped))
        if reason := self._execution_log.cancel_reason():
            return CompensationStart(f"cancelled: {reason}", Problem(CANCELLED, reason))
        if self.deadline and self._execution_log.now() >= self.deadline:
            told = f"its deadline, {self.deadline.isoformat(timespec='seconds')}, was over"
            return CompensationStart(told, Problem(DEADLINE, told))
        return None
