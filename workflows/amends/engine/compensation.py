"""The way back: everything that was done, or may have been done, is undone in reverse order of its start."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, NoReturn

from domain.amends.vocabulary import Unreadable
from workflows.amends.brakes.brake import BrakePoint
from workflows.amends.call import Undo
from workflows.amends.causes.failure_cause import compensation_cause
from workflows.amends.definition import Compensation
from workflows.amends.engine.cancellation import CompensationStart
from workflows.amends.engine.history_writer import TURN_BACK, HistoryWriter
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
from workflows.amends.engine.user_code.yielding import LoopTurns
from workflows.amends.history import (
    CompensationBraked,
    CompensationFailed,
    CompensationWaiting,
    Problem,
    SagaCompensated,
    SagaCompensating,
    SagaStuck,
    StepCompensated,
)
from workflows.amends.ports.execution_log import StatusChange, StepCommit, TurnedBack
from workflows.amends.saga import Saga
from workflows.amends.values.codec import parse_json
from workflows.amends.values.printable import error_message
from workflows.amends.values.refusals import is_refusal


async def compensate(
    saga: Saga[Any, Any],
    step_execution: Sequence[StepExecution],
    history: HistoryWriter,
    suspension: Suspension,
    back: CompensationStart,
    code: UserCode,
    undo_child: Callable[[StepExecution, str], Awaitable[None]],
) -> NoReturn:
    """Record the start of compensation, undo the steps, record that, and raise TurnedBack."""
    in_doubt = tuple(step.step_id for step in step_execution if step.in_doubt)
    told = SagaCompensating(back.reason, back.problem, in_doubt)
    cause = compensation_cause(saga.definition.saga_type, back.problem)
    change = StatusChange("compensating", back.reason, cause=cause)
    await _milestone(TURN_BACK, told, change, history, suspension)
    turns = LoopTurns(history.execution_log.monotonic_seconds)
    for step in reversed(step_execution):
        if turns.is_long:
            await turns.end()
        if step.outcome is not None and step.step.compensation is not None:
            undoing = _Undoing(saga, step, step.step.compensation, back.reason, history, suspension, code)
            await undoing.undo(partial(undo_child, step, back.reason))
    done = StatusChange("compensated", back.reason)
    await _milestone("compensated", SagaCompensated(back.reason), done, history, suspension)
    raise TurnedBack(saga.definition.name, back.reason, back.problem)


async def _milestone(
    name: str, told: object, change: StatusChange, history: HistoryWriter, suspension: Suspension
) -> None:
    step_id, known = history.execution_log.next_step_id(), history.execution_log.replay.checkpoints
    recorded = next((number for number, checkpoint in known.items() if checkpoint.name == name), 0)
    while step_id < recorded:  # an earlier execution did more before the compensation, such as asking an operator
        step_id = history.execution_log.next_step_id()
    if not await suspension.matching_checkpoint(step_id, name):
        await suspension.require_nothing_left(step_id, "turns back")
        checkpoint = history.answered_checkpoint(step_id, name, history.execution_log.now(), {"reason": change.reason})
        await history.write(history.step_commit(told, checkpoint=checkpoint, change=change))


class _Undoing:
    """One step being undone."""

    def __init__(
        self,
        saga: Saga[Any, Any],
        step: StepExecution,
        by: Compensation,
        reason: str,
        history: HistoryWriter,
        suspension: Suspension,
        code: UserCode,
    ) -> None:
        self.saga, self.step, self.by, self.history, self.suspension = saga, step, by, history, suspension
        self.reason, self.code = reason, code
        self.step_id = history.execution_log.next_step_id()
        self.started_at = history.execution_log.now()

    async def undo(self, child: Callable[[], Awaitable[None]]) -> None:
        """Undo the step, unless it is recorded as undone or an operator decided about it; `child` undoes a child."""
        checkpoint = await self.suspension.matching_checkpoint(self.step_id, self.by.name)
        if checkpoint:
            self.history.note_checkpoint(checkpoint)
            return
        self.history.hide_values(self.step.hidden_values())
        act = self.suspension.operator_action(self.step_id, self.by.name)
        exhausted = self.history.execution_log.replay.exhausted
        if act and act.action != "retry":
            told = self._told(0, by="skip" if act.action == "skip" else "resolve")
            await self.history.write(self._entry(told, parse_json("null")))
        elif exhausted and not act:
            await self._stuck(exhausted.reason, None, 0)
        elif self.step.step.kind == "child":
            await self._await_brakes()
            await child()
            await self.history.write(self._entry(self._told(1), None))
        elif self.step.step.kind == "transaction":
            await self._transact()
        else:
            await self._call()

    async def _call(self) -> None:
        key = f"{self.history.execution_log.identity.root}.{self.by.name}.{self.step.occurrence}.{self.step.redo}"

        async def body(number: int) -> None:
            undo = Undo(self.step.key, key, self.step.known_outcome(), number, self.reason)
            await self.by.body(self.saga, undo, *self.step.arguments())

        by = self.by
        trial = AttemptPlan(by.name, self.step_id, body, by.retry, by.timeout, self._failed, self._point)
        match await make_attempts(trial, self.history, self.code):
            case AttemptAnswered(_, attempts):
                await self.history.write(self._entry(self._told(attempts), None))
            case AttemptRefused(_, problem, attempts):
                await self._stuck(f"{self.by.name} was refused: {problem.message}", problem, attempts)
            case AttemptsExhausted(problem, attempts):
                reason = f"{self.by.name} failed {attempts} times, lastly with: {problem.message}"
                await self._stuck(reason, problem, attempts)
            case AttemptBug(problem, attempts):
                await self._stuck(f"a bug in {self.by.name}: {problem.message}", problem, attempts)
            case BlockedByOutage() as down:
                await self._suspend(down)
            case BlockedByBrake() as held:
                await self._await_brake(held)

    @property
    def _point(self) -> BrakePoint:
        return brake_point(self.saga.definition.saga_type, self.step.step.name, self.by.name)

    async def _await_brakes(self) -> None:
        """Suspend the saga if a brake holds a compensation that calls nobody."""
        if brake := await self.history.execution_log.holding_brake(self._point):
            await self._await_brake(BlockedByBrake(brake, 0, False))

    async def _await_brake(self, held: BlockedByBrake) -> NoReturn:
        """Suspend the saga until the brake is lifted."""
        execution_log, step = self.history.execution_log, self.step
        known = execution_log.replay.provider_waits.get(self.step_id)
        wait = brake_wait(replace(held, sent=False), known, execution_log)
        name, undoes, brake = step.step.name, self.by.name, held.brake
        told = CompensationBraked(
            name, step.occurrence, undoes, self.step_id, held.attempts, brake.id, brake.reason, wait.since
        )
        await self.suspension.await_brake(undoes, None if known == wait else told, wait)

    async def _suspend(self, down: BlockedByOutage) -> NoReturn:
        """Suspend the saga until the provider is back; an operator is asked when that takes too long."""
        execution_log, step = self.history.execution_log, self.step
        known = execution_log.replay.provider_waits.get(self.step_id)
        wait, until = current_wait(replace(down, sent=False), known, execution_log)
        if execution_log.now() >= until:
            await self._stuck(wait_exhausted_reason(self.by.name, down, wait), down.problem, down.attempts)
        name, undoes = step.step.name, self.by.name
        told = CompensationWaiting(name, step.occurrence, undoes, self.step_id, **wait_fields(down, wait, until))
        await self.suspension.await_provider(undoes, None if known == wait else told, wait, until)

    async def _transact(self) -> None:
        await self._await_brakes()

        async def body(tx: TransactionContext) -> None:
            await self.by.body(self.saga, tx, *self.step.arguments())

        def step_commit(_: None, tx: TransactionContext) -> StepCommit:
            return self._entry(self._told(1), None, tx)

        by = self.by
        ended = await transact(by.name, self.history, self.code, by.timeout, body, step_commit, _nothing)
        if not isinstance(ended, CodeRaised):
            return
        error = ended.error
        if isinstance(error, Unreadable):
            await self.suspension.suspend_incompatible(f"{self.by.name}: {error_message(error)}")
        problem = self.history.stored_problem(error)
        reason = f"{self.by.name} failed, and did nothing: {self.history.bug_text(error)}"
        if is_refusal(error):
            reason = f"{self.by.name} was refused: {problem.message}"
        await self._stuck(reason, problem, 1)

    def _told(self, attempts: int, by: Any = "compensation") -> StepCompensated:
        step = self.step
        return StepCompensated(step.step.name, step.occurrence, self.by.name, self.step_id, attempts, by)

    def _failed(self, attempts: int, problem: Problem, due: datetime | None) -> CompensationFailed:
        step = self.step
        return CompensationFailed(step.step.name, step.occurrence, self.by.name, self.step_id, attempts, problem, due)

    def _entry(self, told: StepCompensated, result: Any, tx: TransactionContext | None = None) -> StepCommit:
        return self.history.step_commit(
            told,
            step=self.by.name,
            business=tx.events if tx else (),
            expected=tx.expected if tx else None,
            checkpoint=self.history.answered_checkpoint(self.step_id, self.by.name, self.started_at, result),
        )

    async def _stuck(self, reason: str, problem: Problem | None, attempts: int) -> NoReturn:
        step = self.step
        told = SagaStuck(
            reason, self.step_id, step.step.name, step.occurrence, step.step.kind, attempts, self.by.name, problem
        )
        await self.suspension.suspend_stuck(told)


def _nothing() -> None:
    """Nothing keeps a saga that is compensated from trying again."""
