"""What a step comes to: it is answered, refused or fails, or a person decides — each of it recorded in one commit."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NoReturn

from pydantic import ValidationError

from domain.amends.errors import Refusal, TooLarge, Unstorable
from domain.amends.vocabulary import Unreadable
from workflows.amends.engine.cancellation import Turning
from workflows.amends.engine.compensation import TurnBack
from workflows.amends.engine.history_writer import Chronicle
from workflows.amends.engine.provider_wait import out_of_patience, waited, waiting
from workflows.amends.engine.steps.attempts import Answered, Bug, Down, Failed, Refused, Trial, attempt
from workflows.amends.engine.steps.changes import Changes
from workflows.amends.engine.steps.step_execution import Begun
from workflows.amends.engine.steps.transactions import transact
from workflows.amends.engine.suspension import Attention
from workflows.amends.engine.user_code.marks import on_loop
from workflows.amends.engine.user_code.user_code import Raised, UserCode
from workflows.amends.history import (
    OperatorActed,
    Problem,
    SagaStuck,
    StepCompleted,
    StepFailed,
    StepRefused,
    StepRetrying,
    StepSkipped,
    StepWaiting,
)
from workflows.amends.ports.execution_log import Checkpoint, Entry, StatusChange
from workflows.amends.redaction.sensitive import hidden_values, marks
from workflows.amends.saga import Call, Done, Saga, Unknown
from workflows.amends.values.codec import Kept, kept, load, plain, problems
from workflows.amends.values.problem import UnknownRefusal, is_refusal, problem_in, refusal_of
from workflows.amends.values.said import said

UNANSWERED = "unanswered"
"""The name under which a checkpoint says that nobody knows whether the step took effect."""

SKIPPED = "skipped"
"""The name under which a checkpoint says that a person decided that the step was not done."""


class Outcomes:
    """The outcomes of the steps of one life of a saga."""

    def __init__(
        self, saga: Saga[Any, Any], chronicle: Chronicle, attention: Attention, turning: Turning, code: UserCode
    ) -> None:
        self._saga, self._chronicle, self._attention = saga, chronicle, attention
        self._turning, self._code = turning, code

    async def replayed(self, begun: Begun, checkpoint: Checkpoint) -> Any:
        """What an earlier life recorded: the result again, or the refusal, or the way back."""
        self._chronicle.passed(checkpoint)
        begun.settled = True
        if checkpoint.error is None:
            return await self._loaded(begun, plain(checkpoint.output or "null"))
        problem = problem_in(checkpoint.error)
        if problem.name in (UNANSWERED, SKIPPED):
            self._turn_back_from(begun, problem)
        try:
            refusal = refusal_of(problem, self._saga.definition.module)
        except UnknownRefusal as error:
            await self._attention.stranded(f"step {begun.slot}, {begun.step.name}: {error}")
        except ValidationError as error:
            wrong = problems(error)[0]
            await self._attention.stranded(f"the recorded refusal of {begun.step.name} does not fit: {wrong}")
        raise refusal

    async def call(self, begun: Begun) -> Any:
        """Call another system, as often as the step allows."""

        async def body(number: int) -> Kept:
            return self._kept(begun, await begun.step.body(self._saga, Call(begun.key, number), *begun.arguments()))

        def tell(number: int, problem: Problem, due: datetime) -> StepRetrying:
            return begun.told(StepRetrying, attempts=number, error=problem, next_at=due)

        def again(called: bool) -> None:
            self._turning.between_attempts(begun, called)

        deadline = self._turning.deadline
        trial = Trial(begun.step.name, begun.slot, body, begun.step.retry, begun.step.timeout, tell, deadline, again)
        match await attempt(trial, self._chronicle, self._code):
            case Answered(made, attempts):
                await self._chronicle.write(self._answered(begun, made.data, attempts))
                return self._done(begun, made.data, made.value)
            case Refused(refusal, problem, attempts):
                await self._refused(begun, refusal, problem, attempts)
            case Failed(problem, attempts):
                await self._failed(begun, problem, attempts)
            case Bug(problem, attempts):
                await self.stuck(begun, f"a bug in {begun.step.name}: {problem.message}", problem, attempts)
            case Down() as down:
                await self._suspend(begun, down)
        return None

    async def _suspend(self, begun: Begun, down: Down) -> NoReturn:
        """Rest until the provider is back; a person is asked when that takes too long."""

        def instead() -> None:
            self._turning.between_attempts(begun, down.sent)

        instead()
        known, journal = self._chronicle.journal.recording.provider_waits.get(begun.slot), self._chronicle.journal
        wait, until = waiting(down, known, journal, self._turning.tried_before(begun))
        if journal.now() >= until:
            reason = out_of_patience(begun.step.name, down, wait)
            step = begun.step
            attempts, problem = down.attempts, down.problem
            told = SagaStuck(reason, begun.slot, step.name, begun.occurrence, step.kind, attempts, None, problem)
            await self._attention.stuck(told, instead, settled=True)
        waits = begun.told(StepWaiting, **waited(down, wait, until), sent=wait.sent)
        deadline = self._turning.deadline
        due = min(until, deadline) if deadline and deadline > journal.now() else until  # a pivot in doubt goes on
        await self._attention.suspend(None if known == wait else waits, wait, due, instead)

    async def transact(self, begun: Begun) -> Any:
        """Change our own database, in the commit that records it."""

        async def body(changes: Changes) -> Kept:
            return self._kept(begun, await begun.step.body(self._saga, changes, *begun.arguments()))

        def entry(result: Kept, changes: Changes) -> Entry:
            return self._answered(begun, result.data, 1, changes)

        def again() -> None:
            self._turning.between_attempts(begun, False)

        step = begun.step
        ended = await transact(step.name, self._chronicle, self._code, step.timeout, body, entry, again)
        if not isinstance(ended, Raised):
            return self._done(begun, ended.value.data, ended.value.value)
        error = ended.error
        if is_refusal(error):
            try:
                problem = self._chronicle.refusal(error)
            except (Unstorable, TooLarge) as unstorable:
                error = unstorable
            else:
                await self._refused(begun, error, problem, 1)
        if isinstance(error, Unreadable):
            return await self._attention.stranded(f"{begun.step.name}: {said(error)}")
        reason = f"{begun.step.name} failed, and did nothing: {self._chronicle.bug(error)}"
        return await self.stuck(begun, reason, self._chronicle.problem(error), 1)

    def _kept(self, begun: Begun, result: Any) -> Kept:
        limit = self._chronicle.journal.limits.value
        return kept(result, begun.call.declared.result, f"the result of {begun.step.name}", limit)

    async def ended(self, begun: Begun, result: Any, *told: object) -> Any:
        """A child was completed with this; what else is told of it goes into the same commit."""
        await self._loaded(begun, result)
        checkpoint = self._chronicle.answered(begun.slot, begun.step.name, begun.started_at, result)
        completed, going = begun.told(StepCompleted, attempts=1, result=result), StatusChange("running")
        entry = self._chronicle.entry(*told, completed, step=begun.step.name, checkpoint=checkpoint, change=going)
        await self._chronicle.write(entry)
        return self._again(begun, result)

    async def refused(self, begun: Begun, refusal: Refusal, attempts: int, *also: object) -> NoReturn:
        """The same for a refusal that was stored before."""
        await self._refused(begun, refusal, self._chronicle.problem(refusal), attempts, *also)

    async def _refused(
        self, begun: Begun, refusal: Refusal, problem: Problem, attempts: int, *also: object
    ) -> NoReturn:
        """The answer was no: it is raised where the step was awaited. Past the pivot a person must look at it."""
        if self._turning.past_pivot:
            await self.stuck(begun, f"{begun.step.name} was refused: {problem.message}", problem, attempts)
        told = begun.told(StepRefused, attempts=attempts, error=problem)
        await self._write_failure(begun, problem, *also, told)
        raise load(problem.facts, type(refusal))

    async def stuck(self, begun: Begun, reason: str, problem: Problem | None = None, attempts: int = 0) -> NoReturn:
        """Ask a person about a step."""
        step = begun.step
        told = SagaStuck(reason, begun.slot, step.name, begun.occurrence, step.kind, attempts, None, problem)
        await self._attention.stuck(told, lambda: self._turning.rather_than_stuck(begun))

    async def as_decided(self, begun: Begun, act: OperatorActed) -> Any:
        """A person skipped the step, or says what came of it."""
        if act.act == "skip" and begun.step.pivot:
            problem = Problem(SKIPPED, f"skipped: {act.reason}")
            await self._write_failure(begun, problem, begun.told(StepSkipped, reason=act.reason))
            self._turn_back_from(begun, problem)
        try:
            begun.require_result(act.result)
        except ValidationError as error:
            reason = f"{begun.step.name} must have a result that the next steps can use: resolve it with one"
            if error.errors(include_url=False, include_input=False)[0]["type"] == "not_a_text":
                reason = f"{reason}; {problems(error)[0]}"
            await self.stuck(begun, reason)
        if act.act == "resolve":
            await self._chronicle.write(self._answered(begun, act.result, 0))
        else:
            checkpoint = self._chronicle.answered(begun.slot, begun.step.name, begun.started_at, act.result)
            told = begun.told(StepSkipped, reason=act.reason)
            await self._chronicle.write(self._chronicle.entry(told, step=begun.step.name, checkpoint=checkpoint))
        return self._again(begun, act.result)

    async def _loaded(self, begun: Begun, result: Any) -> Any:
        try:
            return self._again(begun, result)
        except ValidationError as error:
            await self._attention.stranded(
                f"the recorded result of {begun.step.name} does not fit its type: {problems(error)[0]}"
            )

    def _again(self, begun: Begun, result: Any) -> Any:
        """The same for a result that is on record. Raises ValidationError if it does not fit its type."""
        return self._done(begun, result, on_loop.during(self._code.who(begun.step.name), begun.result, result))

    def _done(self, begun: Begun, result: Any, value: Any) -> Any:
        """Take note that a step is done; returns its result as every replay will see it."""
        begun.outcome, begun.settled = Done(result), True
        self._chronicle.hide(hidden_values(result, marks(begun.call.declared.result)))
        self._turning.past_pivot = self._turning.past_pivot or begun.step.pivot
        return value

    def _turn_back_from(self, begun: Begun, problem: Problem) -> NoReturn:
        begun.outcome = Unknown() if problem.name == UNANSWERED else None
        raise TurnBack(f"{begun.step.name}: {problem.message}", problem)

    def _answered(self, begun: Begun, result: Any, attempts: int, changes: Changes | None = None) -> Entry:
        return self._chronicle.entry(
            begun.told(StepCompleted, attempts=attempts, result=result),
            step=begun.step.name,
            business=changes.events if changes else (),
            expected=changes.expected if changes else None,
            checkpoint=self._chronicle.answered(begun.slot, begun.step.name, begun.started_at, result),
        )

    async def _failed(self, begun: Begun, problem: Problem, attempts: int) -> NoReturn:
        if self._turning.past_pivot or begun.step.pivot:
            reason = f"{begun.step.name} failed {attempts} times, lastly with: {problem.message}"
            await self.stuck(begun, reason, problem, attempts)
        unanswered = Problem(UNANSWERED, problem.message, {"error": problem.name})
        await self._write_failure(begun, unanswered, begun.told(StepFailed, attempts=attempts, error=problem))
        self._turn_back_from(begun, unanswered)

    async def _write_failure(self, begun: Begun, problem: Problem, *told: object) -> None:
        checkpoint = self._chronicle.failed(begun.slot, begun.step.name, begun.started_at, problem)
        going = StatusChange("running") if begun.step.kind == "child" else None
        entry = self._chronicle.entry(*told, step=begun.step.name, checkpoint=checkpoint, change=going)
        await self._chronicle.write(entry)
        begun.settled = True
