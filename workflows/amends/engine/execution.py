"""One execution of one saga: does its steps, records each with its events in one commit, and compensates them when it
must."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from domain.amends.errors import Contended, TooLarge, Unstorable
from workflows.amends.call import OutcomeUnknown
from workflows.amends.engine.cancellation import BEFORE_RUN, GIVEN_UP, Cancellation, CompensationStart, RunStuck
from workflows.amends.engine.compensation import compensate
from workflows.amends.engine.history_writer import HistoryWriter
from workflows.amends.engine.recorded_steps import last_begun_step
from workflows.amends.engine.run_driver import Hanging, RunDecided, RunDriver
from workflows.amends.engine.suspension import Suspension
from workflows.amends.engine.user_code.call_rules import RunRules
from workflows.amends.engine.user_code.running import RunCoroutine
from workflows.amends.engine.user_code.running_code import on_loop
from workflows.amends.engine.user_code.tasks import ExitAttempted, guard_tasks
from workflows.amends.engine.user_code.user_code import CodeRaised, CodeReturned, UserCode
from workflows.amends.history import Problem, SagaCompleted, SagaStuck
from workflows.amends.history.replay_state import BLOCKS
from workflows.amends.ids import derived_id
from workflows.amends.ports.execution_log import ExecutionLog, ForeignStep, StatusChange, StepCommit
from workflows.amends.redaction.sensitive import hidden_values, marked_shape
from workflows.amends.run_calls import MisplacedCall
from workflows.amends.saga import Saga
from workflows.amends.values.codec import stored_value, wrong_fields
from workflows.amends.values.limits import Limits
from workflows.amends.values.refusals import is_refusal
from workflows.amends.values.whole import load_whole

COMPLETE = "complete"
"""The name of the step that completes a saga."""


class Execution:
    """Runs one saga against an execution log."""

    def __init__(
        self,
        saga: Saga[Any, Any],
        execution_log: ExecutionLog,
        user_code: Callable[[str, str, Limits, Callable[[BaseException], None]], UserCode] = UserCode,
    ) -> None:
        self.saga, self.execution_log, self.definition = saga, execution_log, saga.definition
        self.history = HistoryWriter(execution_log)
        self.speaks = RunRules(saga, execution_log.waker, execution_log.limits, *_says(self.history))
        self.code = user_code(
            execution_log.identity.id, self.definition.saga_type, execution_log.limits, self.speaks.note_bug
        )
        self.suspension = Suspension(self.history, self.definition.saga_type)
        self.cancellation = Cancellation(self.history)
        self.driver = RunDriver(saga, self.history, self.suspension, self.cancellation, self.code, self.speaks)

    async def run(self, given: Any) -> Any:
        """From input to result, both plain data. Raises TurnedBack once all is compensated, Suspended, or Fenced."""
        guard_tasks()
        try:
            request = await self._request(given)
            if (asked := self.suspension.operator_action(BEFORE_RUN, None)) and asked.action == "resolve":
                return await self._complete_unrun(asked.result)
            if (exhausted := self.execution_log.replay.exhausted) and not exhausted.runs:
                await self.suspension.suspend_stuck(SagaStuck(exhausted.reason, BEFORE_RUN))
            return await self._forward(request)
        except CompensationStart as back:
            step_execution, undo = self.driver.mark_running_children(), self.driver.children.undo
            return await compensate(self.saga, step_execution, self.history, self.suspension, back, self.code, undo)
        except ForeignStep:
            return await self.suspension.suspend_incompatible(
                "a step was recorded that is not this saga's: look at it in DBOS's tools"
            )

    # -- the way forward

    async def _request(self, given: Any) -> Any:
        self.history.hide_values(hidden_values(given, marked_shape(self.definition.input)))
        try:
            return on_loop.call_marked(self.code.label(None), partial(load_whole, given), self.definition.input)
        except ValidationError as error:
            await self.suspension.suspend_incompatible(
                f"the recorded input does not fit its type: {wrong_fields(error)[0]}"
            )

    async def _forward(self, request: Any) -> Any:
        """Let `run` run to its end, and record how it ended."""
        scope = self.code.scope(None)
        running = RunCoroutine(
            self.saga.run(request), scope, self.speaks, self.execution_log.waker, self.driver.note_await_cancelled
        )
        try:
            ended = await self.driver.until_ended(running)
            if isinstance(ended, CodeReturned) and (wrong := self.speaks.misplaced or self.speaks.unawaited_word):
                ended = CodeRaised(wrong)
            elif isinstance(ended, CodeReturned):
                ended = CodeReturned(self._result(ended.value))
        except (RunDecided, RunStuck, Hanging, MisplacedCall, ExitAttempted, Contended, Unstorable, TooLarge) as failed:
            ended = CodeRaised(failed)
        finally:
            await running.close()
        if isinstance(ended, CodeRaised):
            return await self._failed(ended.error)
        if reason := self._stands_still():
            return await self._between_steps(reason, Problem("Exhausted", reason))
        return await self._complete(ended.value)

    def _stands_still(self) -> str | None:
        """Why a saga is not completed though it has done all: it has blocked an event loop once too often."""
        replay, act = (
            self.execution_log.replay,
            self.suspension.operator_action(self.execution_log.last_step_id + 1, None),
        )
        if replay.blocks >= BLOCKS and replay.exhausted:
            return replay.exhausted.reason
        return act.reason if act and act.action != "retry" else None

    def _result(self, value: Any) -> Any:
        """What `run` returned, as plain data. Raises TooLarge and Unstorable."""
        what, limit = f"the result of {self.definition.saga_type}", self.execution_log.limits.value
        keep = partial(stored_value, annotation=self.definition.output, what=what, limit=limit)
        return on_loop.call_marked(self.code.label(None), keep, value).data

    async def _failed(self, error: BaseException) -> Any:
        """`run` has ended with an error: a Refusal starts the compensation, anything else is for an operator to look
        at."""
        if is_refusal(error):
            try:
                problem = self.history.stored_refusal(error)
            except (Unstorable, TooLarge) as unstorable:
                error = unstorable
            else:
                if not self.cancellation.past_pivot:
                    raise CompensationStart(problem.message, problem) from error
                return await self._between_steps(f"refused after the point of no return: {problem.message}", problem)
        if isinstance(error, RunDecided):
            return await self._between_steps(str(error), Problem(GIVEN_UP, str(error)))
        if isinstance(error, RunStuck):
            return await self._between_steps(error.problem.message, error.problem)
        problem = self.history.stored_problem(error)
        reason = f"a bug between the steps of {self.definition.saga_type}: {self.history.bug_text(error)}"
        return await self._between_steps(reason, problem)

    async def _between_steps(self, reason: str, problem: Problem) -> Any:
        """The code between the steps failed, or a step in a way that left no record: an operator decides."""
        step_id = self.execution_log.next_step_id()
        for step in self.driver.step_execution:
            if not step.settled and step.step.kind == "step":
                step.in_doubt, step.outcome = True, OutcomeUnknown()
        act = self.suspension.operator_action(step_id, None)
        done = self.execution_log.replay.checkpoints.get(step_id + 1)
        if done is None or done.name != COMPLETE:  # else it was completed by that, and may be called back since
            self.cancellation.check_outside_steps()
        if act and act.action == "resolve":
            return await self._complete(act.result, decided=True)
        if act and act.action == "skip" and not self.cancellation.past_pivot:
            raise CompensationStart(f"given up: {act.reason}", problem)
        return await self.suspension.suspend_stuck(
            SagaStuck(reason, step_id, error=problem), self.cancellation.check_outside_steps
        )

    async def _complete_unrun(self, result: Any) -> Any:
        """An operator says what came of a saga whose `run` may not be run: also of what it has begun."""
        while self.execution_log.last_step_id < last_begun_step(self.execution_log.replay):
            self.execution_log.next_step_id()
        return await self._complete(result, decided=True)

    async def _complete(self, result: Any, decided: bool = False) -> Any:
        """Record that all is done, knowing all that the saga was told: a cancel that came in time is not lost.

        `decided` says that it is an operator's word, which covers what is left open too.
        """
        step_id = self.execution_log.next_step_id()
        if await self.suspension.matching_checkpoint(step_id, COMPLETE):
            if self.execution_log.replay.compensation_requested:
                self.cancellation.check_outside_steps()
            return result
        if not decided:
            await self.suspension.require_nothing_left(step_id, "completes")

        async def complete() -> StepCommit:
            self.cancellation.check_outside_steps()
            await self.cancellation.record_cancel_lost()
            checkpoint = self.history.answered_checkpoint(step_id, COMPLETE, self.execution_log.now(), result)
            change = StatusChange("completed")
            return self.history.step_commit(SagaCompleted(result), checkpoint=checkpoint, change=change)

        await self.history.write_current(complete)
        return result


def _says(history: HistoryWriter) -> tuple[Callable[[], datetime], Callable[[], UUID]]:
    """What `run` is told of the time, and the ids that it makes; methods of an execution would hold it in a circle."""
    root, ids = history.execution_log.identity.root, count(1)
    return lambda: history.completed_at, lambda: derived_id(root, "id", next(ids))
