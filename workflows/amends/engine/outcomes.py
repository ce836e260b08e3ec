"""What a step comes to: it is answered, refused or fails, or an operator decides — each of it recorded in one
commit."""

from __future__ import annotations

from typing import Any, NoReturn

from pydantic import ValidationError

from domain.amends.errors import Refusal
from workflows.amends.call import Done, OutcomeUnknown
from workflows.amends.engine.cancellation import Cancellation, CompensationStart
from workflows.amends.engine.history_writer import HistoryWriter
from workflows.amends.engine.steps.step_execution import StepExecution
from workflows.amends.engine.steps.transaction_context import TransactionContext
from workflows.amends.engine.suspension import Suspension
from workflows.amends.engine.user_code.running_code import on_loop
from workflows.amends.engine.user_code.user_code import UserCode
from workflows.amends.history import (
    Problem,
    SagaStuck,
    StepCompleted,
    StepFailed,
    StepRefused,
    StepSkipped,
)
from workflows.amends.history.problem import UnknownRefusal, load_refusal, stored_problem
from workflows.amends.history.replay_state import ActionTaken, Checkpoint
from workflows.amends.ports.execution_log import StatusChange, StepCommit
from workflows.amends.redaction.sensitive import hidden_values, marked_shape
from workflows.amends.saga import Saga
from workflows.amends.values.codec import load, parse_json, wrong_fields

UNANSWERED = "unanswered"
"""The name under which a checkpoint says that nobody knows whether the step took effect."""

SKIPPED = "skipped"
"""The name under which a checkpoint says that an operator decided that the step was not done."""


class OutcomeRecorder:
    """The outcomes of the steps of a saga, in one of its executions."""

    def __init__(
        self,
        saga: Saga[Any, Any],
        history: HistoryWriter,
        suspension: Suspension,
        cancellation: Cancellation,
        code: UserCode,
    ) -> None:
        self._saga, self._history, self._suspension = saga, history, suspension
        self._cancellation, self._code = cancellation, code

    async def replay(self, step_execution: StepExecution, checkpoint: Checkpoint) -> Any:
        """Give again what an earlier execution recorded: the result, the refusal, or the start of compensation."""
        self._history.note_checkpoint(checkpoint)
        step_execution.settled = True
        if checkpoint.error is None:
            return await self._loaded(step_execution, parse_json(checkpoint.output or "null"))
        problem = stored_problem(checkpoint.error)
        if problem.name in (UNANSWERED, SKIPPED):
            self._turn_back_from(step_execution, problem)
        try:
            refusal = load_refusal(problem, self._saga.definition.module)
        except UnknownRefusal as error:
            await self._suspension.suspend_incompatible(
                f"step {step_execution.step_id}, {step_execution.step.name}: {error}"
            )
        except ValidationError as error:
            wrong = wrong_fields(error)[0]
            await self._suspension.suspend_incompatible(
                f"the recorded refusal of {step_execution.step.name} does not fit: {wrong}"
            )
        raise refusal

    async def complete_child(self, step_execution: StepExecution, result: Any, *told: object) -> Any:
        """Record that a child was completed with this; further events about it go into the same commit."""
        await self._loaded(step_execution, result)
        checkpoint = self._history.answered_checkpoint(
            step_execution.step_id, step_execution.step.name, step_execution.started_at, result
        )
        completed, going = step_execution.step_event(StepCompleted, attempts=1, result=result), StatusChange("running")
        step_commit = self._history.step_commit(
            *told, completed, step=step_execution.step.name, checkpoint=checkpoint, change=going
        )
        await self._history.write(step_commit)
        return self._again(step_execution, result)

    async def record_refusal(
        self, step_execution: StepExecution, refusal: Refusal, attempts: int, *also: object
    ) -> NoReturn:
        """The same for a refusal that was stored before."""
        await self.record_stored_refusal(
            step_execution, refusal, self._history.stored_problem(refusal), attempts, *also
        )

    async def record_stored_refusal(
        self, step_execution: StepExecution, refusal: Refusal, problem: Problem, attempts: int, *also: object
    ) -> NoReturn:
        """The answer was no: it is raised where the step was awaited. Past the pivot an operator must look at it."""
        if self._cancellation.past_pivot:
            await self.suspend_stuck(
                step_execution, f"{step_execution.step.name} was refused: {problem.message}", problem, attempts
            )
        try:
            raised = self._as_replayed(problem)
        except ValidationError as error:
            reason = f"{step_execution.step.name} was refused: the refusal {problem.name} that this saga's file knows"
            await self.suspend_stuck(
                step_execution, f"{reason} does not take its facts: {wrong_fields(error)[0]}", problem, attempts
            )
        told = step_execution.step_event(StepRefused, attempts=attempts, error=problem)
        await self._write_failure(step_execution, problem, *also, told)
        raise raised or load(problem.facts, type(refusal))

    def _as_replayed(self, problem: Problem) -> Refusal | None:
        """A refusal as every replay will see it: of the class that the saga's file knows under its name.

        A gateway that serves several versions of a saga raises the class of one of them. None if no class is known.
        Raises ValidationError if that class does not take the facts.
        """
        try:
            return load_refusal(problem, self._saga.definition.module)
        except UnknownRefusal:
            return None

    async def suspend_stuck(
        self, step_execution: StepExecution, reason: str, problem: Problem | None = None, attempts: int = 0
    ) -> NoReturn:
        """Suspend the saga until an operator decides about a step."""
        step = step_execution.step
        told = SagaStuck(
            reason, step_execution.step_id, step.name, step_execution.occurrence, step.kind, attempts, None, problem
        )
        await self._suspension.suspend_stuck(told, lambda: self._cancellation.check_before_stuck(step_execution))

    async def follow_operator(self, step_execution: StepExecution, act: ActionTaken) -> Any:
        """Do what an operator decided: the step was skipped, or has this result."""
        if act.action == "skip" and step_execution.step.pivot:
            problem = Problem(SKIPPED, f"skipped: {act.reason}")
            await self._write_failure(
                step_execution, problem, step_execution.step_event(StepSkipped, reason=act.reason)
            )
            self._turn_back_from(step_execution, problem)
        try:
            step_execution.require_result(act.result)
        except ValidationError as error:
            reason = f"{step_execution.step.name} must have a result that the next steps can use: resolve it with one"
            if error.errors(include_url=False, include_input=False)[0]["type"] == "not_a_text":
                reason = f"{reason}; {wrong_fields(error)[0]}"
            await self.suspend_stuck(step_execution, reason)
        if act.action == "resolve":
            await self._history.write(self.completion_commit(step_execution, act.result, 0))
        else:
            checkpoint = self._history.answered_checkpoint(
                step_execution.step_id, step_execution.step.name, step_execution.started_at, act.result
            )
            told = step_execution.step_event(StepSkipped, reason=act.reason)
            await self._history.write(
                self._history.step_commit(told, step=step_execution.step.name, checkpoint=checkpoint)
            )
        return self._again(step_execution, act.result)

    async def _loaded(self, step_execution: StepExecution, result: Any) -> Any:
        try:
            return self._again(step_execution, result)
        except ValidationError as error:
            await self._suspension.suspend_incompatible(
                f"the recorded result of {step_execution.step.name} does not fit its type: {wrong_fields(error)[0]}"
            )

    def _again(self, step_execution: StepExecution, result: Any) -> Any:
        """The same for a result that is on record. Raises ValidationError if it does not fit its type."""
        return self.note_done(
            step_execution,
            result,
            on_loop.call_marked(self._code.label(step_execution.step.name), step_execution.result, result),
        )

    def note_done(self, step_execution: StepExecution, result: Any, value: Any) -> Any:
        """Take note that a step is done; returns its result as every replay will see it."""
        step_execution.outcome, step_execution.settled = Done(result), True
        self._history.hide_values(hidden_values(result, marked_shape(step_execution.call.declared.result)))
        self._cancellation.past_pivot = self._cancellation.past_pivot or step_execution.step.pivot
        return value

    def _turn_back_from(self, step_execution: StepExecution, problem: Problem) -> NoReturn:
        step_execution.outcome = OutcomeUnknown() if problem.name == UNANSWERED else None
        raise CompensationStart(f"{step_execution.step.name}: {problem.message}", problem)

    def completion_commit(
        self, step_execution: StepExecution, result: Any, attempts: int, tx: TransactionContext | None = None
    ) -> StepCommit:
        return self._history.step_commit(
            step_execution.step_event(StepCompleted, attempts=attempts, result=result),
            step=step_execution.step.name,
            business=tx.events if tx else (),
            expected=tx.expected if tx else None,
            checkpoint=self._history.answered_checkpoint(
                step_execution.step_id, step_execution.step.name, step_execution.started_at, result
            ),
        )

    async def record_failure(self, step_execution: StepExecution, problem: Problem, attempts: int) -> NoReturn:
        if self._cancellation.past_pivot or step_execution.step.pivot:
            reason = f"{step_execution.step.name} failed {attempts} times, lastly with: {problem.message}"
            await self.suspend_stuck(step_execution, reason, problem, attempts)
        unanswered = Problem(UNANSWERED, problem.message, {"error": problem.name})
        await self._write_failure(
            step_execution, unanswered, step_execution.step_event(StepFailed, attempts=attempts, error=problem)
        )
        self._turn_back_from(step_execution, unanswered)

    async def _write_failure(self, step_execution: StepExecution, problem: Problem, *told: object) -> None:
        checkpoint = self._history.failed_checkpoint(
            step_execution.step_id, step_execution.step.name, step_execution.started_at, problem
        )
        going = StatusChange("running") if step_execution.step.kind == "child" else None
        step_commit = self._history.step_commit(
            *told, step=step_execution.step.name, checkpoint=checkpoint, change=going
        )
        await self._history.write(step_commit)
        step_execution.settled = True
