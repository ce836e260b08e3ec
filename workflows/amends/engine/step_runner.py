"""Runs the body of a step for the first time: a call to another system, or a change of our own database."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NoReturn

from domain.amends.errors import TooLarge, Unstorable
from domain.amends.vocabulary import Unreadable
from workflows.amends.brakes.brake import BrakePoint
from workflows.amends.call import Call
from workflows.amends.engine.cancellation import Cancellation
from workflows.amends.engine.history_writer import HistoryWriter
from workflows.amends.engine.outcomes import OutcomeRecorder
from workflows.amends.engine.steps.attempts import (
    AttemptAnswered,
    AttemptBug,
    AttemptPlan,
    AttemptRefused,
    AttemptsExhausted,
    BlockedByBrake,
    BlockedByOutage,
    make_attempts,
)
from workflows.amends.engine.steps.provider_wait import (
    brake_point,
    brake_wait,
    current_wait,
    wait_exhausted_reason,
    wait_fields,
)
from workflows.amends.engine.steps.step_execution import StepExecution
from workflows.amends.engine.steps.transaction_context import TransactionContext
from workflows.amends.engine.steps.transactions import transact
from workflows.amends.engine.suspension import Suspension
from workflows.amends.engine.user_code.user_code import CodeRaised, UserCode
from workflows.amends.history import Problem, SagaStuck, StepBraked, StepRetrying, StepWaiting
from workflows.amends.ports.execution_log import StepCommit
from workflows.amends.saga import Saga
from workflows.amends.values.codec import StoredValue, stored_value
from workflows.amends.values.printable import error_message
from workflows.amends.values.refusals import is_refusal


class StepRunner:
    """Runs steps that are on record nowhere yet, and hands what they come to to their outcomes."""

    def __init__(
        self,
        saga: Saga[Any, Any],
        history: HistoryWriter,
        suspension: Suspension,
        cancellation: Cancellation,
        code: UserCode,
        outcomes: OutcomeRecorder,
    ) -> None:
        self._saga, self._history, self._suspension = saga, history, suspension
        self._cancellation, self._code, self._outcomes = cancellation, code, outcomes

    async def call(self, step_execution: StepExecution) -> Any:
        """Call another system, as often as the step allows."""

        step = step_execution.step

        async def body(number: int) -> StoredValue:
            call = Call(step_execution.key, number)
            return self._kept(step_execution, await step.body(self._saga, call, *step_execution.arguments()))

        def tell(number: int, problem: Problem, due: datetime) -> StepRetrying:
            return step_execution.step_event(StepRetrying, attempts=number, error=problem, next_at=due)

        def again(called: bool) -> None:
            self._cancellation.check_between_attempts(step_execution, called)

        deadline = self._cancellation.deadline
        point = self._point(step_execution)
        plan = AttemptPlan(
            step.name, step_execution.step_id, body, step.retry, step.timeout, tell, point, deadline, again
        )
        match await make_attempts(plan, self._history, self._code):
            case AttemptAnswered(made, attempts):
                await self._history.write(self._outcomes.completion_commit(step_execution, made.data, attempts))
                return self._outcomes.note_done(step_execution, made.data, made.value)
            case AttemptRefused(refusal, problem, attempts):
                await self._outcomes.record_stored_refusal(step_execution, refusal, problem, attempts)
            case AttemptsExhausted(problem, attempts):
                await self._outcomes.record_failure(step_execution, problem, attempts)
            case AttemptBug(problem, attempts):
                reason = f"a bug in {step.name}: {problem.message}"
                await self._outcomes.suspend_stuck(step_execution, reason, problem, attempts)
            case BlockedByOutage() as down:
                await self._suspend(step_execution, down)
            case BlockedByBrake() as held:
                await self._await_brake(step_execution, held)
        return None

    def _point(self, step_execution: StepExecution) -> BrakePoint:
        return brake_point(self._saga.definition.saga_type, step_execution.step.name)

    async def await_brakes(self, step_execution: StepExecution) -> None:
        """Suspend the saga if a brake holds a step that calls nobody, or the start of a child."""
        brake = await self._history.execution_log.holding_brake(self._point(step_execution))
        if brake:
            await self._await_brake(step_execution, BlockedByBrake(brake, 0, False))

    async def _await_brake(self, step_execution: StepExecution, held: BlockedByBrake) -> NoReturn:
        """Suspend the saga until the brake is lifted, unless it turns back before: its deadline goes on."""

        def instead() -> None:
            self._cancellation.check_between_attempts(step_execution, held.sent)

        instead()
        execution_log = self._history.execution_log
        known = execution_log.replay.provider_waits.get(step_execution.step_id)
        called = step_execution.step.kind == "step" and self._cancellation.may_have_been_tried(step_execution)
        wait = brake_wait(held, known, execution_log, called)
        told = step_execution.step_event(
            StepBraked,
            attempts=held.attempts,
            brake=wait.brake,
            reason=held.brake.reason,
            since=wait.since,
            sent=wait.sent,
        )
        deadline = self._cancellation.deadline
        due = deadline if deadline and deadline > execution_log.now() else None  # a pivot in doubt goes on
        told_of = None if known == wait else told
        await self._suspension.await_brake(step_execution.step.name, told_of, wait, due, instead)

    async def _suspend(self, step_execution: StepExecution, down: BlockedByOutage) -> NoReturn:
        """Suspend the saga until the provider is back; an operator is asked when that takes too long."""

        def instead() -> None:
            self._cancellation.check_between_attempts(step_execution, down.sent)

        instead()
        known, execution_log = (
            self._history.execution_log.replay.provider_waits.get(step_execution.step_id),
            self._history.execution_log,
        )
        wait, until = current_wait(down, known, execution_log, self._cancellation.may_have_been_tried(step_execution))
        if execution_log.now() >= until:
            reason = wait_exhausted_reason(step_execution.step.name, down, wait)
            step = step_execution.step
            attempts, problem = down.attempts, down.problem
            told = SagaStuck(
                reason, step_execution.step_id, step.name, step_execution.occurrence, step.kind, attempts, None, problem
            )
            await self._suspension.suspend_stuck(told, instead, settled=True)
        waits = step_execution.step_event(StepWaiting, **wait_fields(down, wait, until), sent=wait.sent)
        deadline = self._cancellation.deadline
        due = min(until, deadline) if deadline and deadline > execution_log.now() else until  # a pivot in doubt goes on
        told_of = None if known == wait else waits
        await self._suspension.await_provider(step_execution.step.name, told_of, wait, due, instead)

    async def transact(self, step_execution: StepExecution) -> Any:
        """Change our own database, in the commit that records it."""

        async def body(tx: TransactionContext) -> StoredValue:
            return self._kept(
                step_execution, await step_execution.step.body(self._saga, tx, *step_execution.arguments())
            )

        def step_commit(result: StoredValue, tx: TransactionContext) -> StepCommit:
            return self._outcomes.completion_commit(step_execution, result.data, 1, tx)

        def again() -> None:
            self._cancellation.check_between_attempts(step_execution, False)

        await self.await_brakes(step_execution)
        step = step_execution.step
        ended = await transact(step.name, self._history, self._code, step.timeout, body, step_commit, again)
        if not isinstance(ended, CodeRaised):
            return self._outcomes.note_done(step_execution, ended.value.data, ended.value.value)
        error = ended.error
        if is_refusal(error):
            try:
                problem = self._history.stored_refusal(error)
            except (Unstorable, TooLarge) as unstorable:
                error = unstorable
            else:
                await self._outcomes.record_stored_refusal(step_execution, error, problem, 1)
        if isinstance(error, Unreadable):
            return await self._suspension.suspend_incompatible(f"{step_execution.step.name}: {error_message(error)}")
        reason = f"{step_execution.step.name} failed, and did nothing: {self._history.bug_text(error)}"
        return await self._outcomes.suspend_stuck(step_execution, reason, self._history.stored_problem(error), 1)

    def _kept(self, step_execution: StepExecution, result: Any) -> StoredValue:
        limit = self._history.execution_log.limits.value
        return stored_value(
            result, step_execution.call.declared.result, f"the result of {step_execution.step.name}", limit
        )
