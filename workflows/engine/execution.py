"""One life of one saga: does its steps, records each with its events in one commit, and turns back when it must."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID

from pydantic import ValidationError

from domain.errors import Misdeclared, Refusal
from domain.vocabulary import Unreadable
from workflows.codec import digest, dump, load, plain, problems, require_storable
from workflows.engine.attempts import Answered, Failed, Refused, Trial, attempt
from workflows.engine.attention import Attention, Resting
from workflows.engine.begun import Begun
from workflows.engine.chronicle import Chronicle
from workflows.engine.compensating import TurnBack, turn_back
from workflows.engine.transacting import Changes, transact
from workflows.engine.turning import Turning
from workflows.engine.waiting import Waiting
from workflows.ids import derived_id
from workflows.ports import Checkpoint, Entry, Fenced, ForeignStep, Journal, Parked, StatusChange
from workflows.problem import UnknownRefusal, problem_in, refusal_of
from workflows.saga import Call, Done, Saga, StepCall, StepSpec, Unknown, performer
from workflows.sensitive import hidden_values, marks
from workflows.story import (
    OperatorActed,
    Problem,
    SagaCompleted,
    SagaStuck,
    StepCompleted,
    StepFailed,
    StepRefused,
    StepRetrying,
    StepSkipped,
)

UNANSWERED = "unanswered"
"""The name under which a checkpoint says that nobody knows whether the step took effect."""

SKIPPED = "skipped"
"""The name under which a checkpoint says that a person decided that the step was not done."""


def _gravity(error: BaseException) -> int:
    """What a saga does about several branches that failed: what is worst for all of them comes first."""
    order = (Fenced, ForeignStep, asyncio.CancelledError, Parked, Resting, TurnBack, Refusal)
    return next((number for number, kind in enumerate(order) if isinstance(error, kind)), -1)


class Execution:
    """Runs one saga against a journal."""

    def __init__(self, saga: Saga[Any, Any], journal: Journal) -> None:
        self.saga, self.journal, self.definition = saga, journal, saga.definition
        self.chronicle = Chronicle(journal)
        self.attention = Attention(self.chronicle)
        self.turning = Turning(self.chronicle)
        self.waiting = Waiting(self.chronicle, self.attention, self.turning)
        self.begun: list[Begun] = []
        self._live = False
        self._occurrences: Counter[str] = Counter()
        self._ids = 0

    async def run(self, given: Any) -> Any:
        """From input to result, both plain data. Raises TurnedBack once all is compensated, Parked, or Fenced."""
        token = performer.set(self)
        try:
            return await self._forward(await self._request(given))
        except TurnBack as back:
            return await turn_back(self.saga, self.begun, self.chronicle, self.attention, back)
        except ForeignStep:
            return await self.attention.stranded(
                "a step was recorded that is not this saga's: look at it in DBOS's tools"
            )
        finally:
            performer.reset(token)

    async def receive(self, signal: type[Any], patience: timedelta | None) -> Any:
        """What the saga was told by a signal of this class, sooner or later; None if the time came first."""
        name = self.definition.signal(signal)
        return await self.waiting.receive(name, signal, patience)

    async def sleep(self, duration: timedelta) -> None:
        await self.waiting.sleep(duration)

    def now(self) -> datetime:
        return self.chronicle.completed_at

    def new_id(self) -> UUID:
        self._ids += 1
        return derived_id(self.journal.identity.root, "id", self._ids)

    async def perform(self, step: StepSpec, arguments: tuple[Any, ...]) -> Any:
        """Do a step, or give back what it did in an earlier life."""
        return await self._perform(self._begin(step, arguments))

    async def gather(self, calls: Sequence[StepCall[Any]]) -> tuple[Any, ...]:
        """Do several steps at the same time: numbered in their order, and all of them settled before any is judged."""
        if pivot := next((call.step.name for call in calls if call.step.pivot), None):
            raise Misdeclared("gather", f"{pivot} is the pivot: the others may fail, and there is no way back from it")
        begun = [self._begin(call.step, call.arguments) for call in calls]
        with self.attention.later():
            settled = await asyncio.gather(*map(self._perform, begun), return_exceptions=True)
        worst = min((each for each in settled if isinstance(each, BaseException)), key=_gravity, default=None)
        if isinstance(worst, Resting):
            await self.attention.rest(worst)
        if worst is not None:
            raise worst
        return tuple(settled)

    async def _perform(self, begun: Begun) -> Any:
        step = begun.step
        checkpoint = await self.attention.recorded(begun.slot, step.name, begun.digest)
        if checkpoint:
            return await self._replayed(begun, checkpoint)
        self.turning.before(begun)
        await self.turning.tell_lost()
        self._live = True
        act = self.attention.decided(begun.slot, step.name)
        if act and act.act != "retry":
            return await self._as_decided(begun, act)
        if self.journal.recording.exhausted and not act:
            await self._stuck(begun, self.journal.recording.exhausted)
        return await (self._transact(begun) if step.kind == "transaction" else self._call(begun))

    # -- the way forward

    async def _request(self, given: Any) -> Any:
        self.chronicle.hide(hidden_values(given, marks(self.definition.input)))
        try:
            return load(given, self.definition.input)
        except ValidationError as error:
            await self.attention.stranded(f"the recorded input does not fit its type: {problems(error)[0]}")

    async def _forward(self, request: Any) -> Any:
        try:
            result = dump(await self.saga.run(request), self.definition.output)
        except Refusal as refusal:
            if not self.turning.past_pivot:
                problem = self.chronicle.problem(refusal)
                raise TurnBack(problem.message, problem) from refusal
            problem = self.chronicle.problem(refusal)
            reason = f"refused after the point of no return: {problem.message}"
        except Exception as bug:
            problem = self.chronicle.problem(bug)
            reason = f"a bug between the steps of {self.definition.kind}: {self.chronicle.bug(bug)}"
        else:
            return await self._complete(result)
        return await self._between_steps(reason, problem)

    async def _between_steps(self, reason: str, problem: Problem) -> Any:
        """The code between the steps failed, or a step in a way that left no record: a person decides."""
        slot = self.journal.next_slot()
        for step in self.begun:
            if not step.settled and step.step.kind == "step":
                step.in_doubt, step.outcome = True, Unknown()
        self.turning.anywhere()
        act = self.attention.decided(slot, None)
        if act and act.act == "resolve":
            return await self._complete(act.result)
        if act and act.act == "skip" and not self.turning.past_pivot:
            raise TurnBack(f"given up: {act.reason}", problem)
        return await self.attention.stuck(SagaStuck(reason, slot, error=problem), self.turning.anywhere)

    async def _complete(self, result: Any) -> Any:
        slot = self.journal.next_slot()
        if not await self.attention.recorded(slot, "complete"):
            self.turning.anywhere()
            await self.turning.tell_lost()
            checkpoint = self.chronicle.answered(slot, "complete", self.journal.now(), result)
            change = StatusChange("completed")
            entry = self.chronicle.entry(SagaCompleted(result), checkpoint=checkpoint, change=change)
            await self.chronicle.write(entry)
        return result

    def _begin(self, step: StepSpec, arguments: tuple[Any, ...]) -> Begun:
        declared, slot = self.definition.step(step.name), self.journal.next_slot()
        self._occurrences[step.name] += 1
        occurrence = self._occurrences[step.name]
        redo = self.journal.recording.redo.get((step.name, occurrence), 0)
        fingerprint = digest(declared.dump_arguments(arguments))
        key = f"{self.journal.identity.root}.{step.name}.{occurrence}.{redo}"
        doubtful = self.journal.recording.recovered and not self._live
        begun = Begun(declared, slot, occurrence, redo, arguments, fingerprint, key, self.journal.now(), doubtful)
        self.begun.append(begun)
        return begun

    async def _replayed(self, begun: Begun, checkpoint: Checkpoint) -> Any:
        self.chronicle.passed(checkpoint)
        begun.settled = True
        if checkpoint.error is None:
            return await self._loaded(begun, plain(checkpoint.output or "null"))
        problem = problem_in(checkpoint.error)
        if problem.name in (UNANSWERED, SKIPPED):
            self._turn_back_from(begun, problem)
        try:
            refusal = refusal_of(problem)
        except UnknownRefusal as error:
            await self.attention.stranded(f"step {begun.slot}, {begun.step.name}: {error}")
        except ValidationError as error:
            wrong = problems(error)[0]
            await self.attention.stranded(f"the recorded refusal of {begun.step.name} does not fit: {wrong}")
        raise refusal

    async def _loaded(self, begun: Begun, result: Any) -> Any:
        try:
            return self._done(begun, result)
        except ValidationError as error:
            await self.attention.stranded(
                f"the recorded result of {begun.step.name} does not fit its type: {problems(error)[0]}"
            )

    def _done(self, begun: Begun, result: Any) -> Any:
        """Take note that a step is done; returns its result as every replay will see it."""
        value = load(result, begun.declared.result)
        begun.outcome, begun.settled = Done(value), True
        self.chronicle.hide(hidden_values(result, marks(begun.declared.result)))
        self.turning.past_pivot = self.turning.past_pivot or begun.step.pivot
        return value

    def _turn_back_from(self, begun: Begun, problem: Problem) -> NoReturn:
        begun.outcome = Unknown() if problem.name == UNANSWERED else None
        raise TurnBack(f"{begun.step.name}: {problem.message}", problem)

    # -- what a step comes to

    async def _call(self, begun: Begun) -> Any:
        async def body(number: int) -> Any:
            value = await begun.step.body(self.saga, Call(begun.key, number), *begun.arguments)
            result = dump(value, begun.declared.result)
            require_storable(result)
            return result

        def tell(number: int, problem: Problem, due: datetime) -> StepRetrying:
            return begun.told(StepRetrying, attempts=number, error=problem, next_at=due)

        def again(called: bool) -> None:
            self.turning.between_attempts(begun, called)

        deadline = self.turning.deadline
        trial = Trial(begun.step.name, begun.slot, body, begun.step.retry, begun.step.timeout, tell, deadline, again)
        match await attempt(trial, self.chronicle):
            case Answered(value, attempts):
                await self.chronicle.write(self._answered(begun, value, attempts))
                return self._done(begun, value)
            case Refused(refusal, attempts):
                await self._refused(begun, refusal, attempts)
            case Failed(problem, attempts):
                await self._failed(begun, problem, attempts)
        return None

    async def _transact(self, begun: Begun) -> Any:
        async def body(changes: Changes) -> Any:
            value = await begun.step.body(self.saga, changes, *begun.arguments)
            return dump(value, begun.declared.result)

        def entry(result: Any, changes: Changes) -> Entry:
            return self._answered(begun, result, 1, changes)

        try:
            return self._done(begun, await transact(begun.step.name, self.chronicle, body, entry))
        except Refusal as refusal:
            answer = refusal
        except Unreadable as unreadable:
            return await self.attention.stranded(f"{begun.step.name}: {unreadable}")
        except Exception as bug:
            reason = f"{begun.step.name} failed, and did nothing: {self.chronicle.bug(bug)}"
            return await self._stuck(begun, reason, self.chronicle.problem(bug), 1)
        return await self._refused(begun, answer, 1)

    def _answered(self, begun: Begun, result: Any, attempts: int, changes: Changes | None = None) -> Entry:
        return self.chronicle.entry(
            begun.told(StepCompleted, attempts=attempts, result=result),
            step=begun.step.name,
            business=changes.events if changes else (),
            expected=changes.expected if changes else None,
            checkpoint=self.chronicle.answered(begun.slot, begun.step.name, begun.started_at, result),
        )

    async def _refused(self, begun: Begun, refusal: Refusal, attempts: int) -> NoReturn:
        problem = self.chronicle.problem(refusal)
        if self.turning.past_pivot:
            await self._stuck(begun, f"{begun.step.name} was refused: {problem.message}", problem, attempts)
        await self._write_failure(begun, begun.told(StepRefused, attempts=attempts, error=problem), problem)
        raise refusal_of(problem)

    async def _failed(self, begun: Begun, problem: Problem, attempts: int) -> NoReturn:
        if self.turning.past_pivot or begun.step.pivot:
            reason = f"{begun.step.name} failed {attempts} times, lastly with: {problem.message}"
            await self._stuck(begun, reason, problem, attempts)
        unanswered = Problem(UNANSWERED, problem.message, {"error": problem.name})
        await self._write_failure(begun, begun.told(StepFailed, attempts=attempts, error=problem), unanswered)
        self._turn_back_from(begun, unanswered)

    async def _write_failure(self, begun: Begun, told: object, problem: Problem) -> None:
        checkpoint = self.chronicle.failed(begun.slot, begun.step.name, begun.started_at, problem)
        await self.chronicle.write(self.chronicle.entry(told, step=begun.step.name, checkpoint=checkpoint))
        begun.settled = True

    # -- what a person decided

    async def _stuck(self, begun: Begun, reason: str, problem: Problem | None = None, attempts: int = 0) -> NoReturn:
        step = begun.step
        told = SagaStuck(reason, begun.slot, step.name, begun.occurrence, step.kind, attempts, None, problem)
        await self.attention.stuck(told, lambda: self.turning.rather_than_stuck(begun))

    async def _as_decided(self, begun: Begun, act: OperatorActed) -> Any:
        """A person skipped the step, or says what came of it."""
        if act.act == "skip" and begun.step.pivot:
            problem = Problem(SKIPPED, f"skipped: {act.reason}")
            await self._write_failure(begun, begun.told(StepSkipped, reason=act.reason), problem)
            self._turn_back_from(begun, problem)
        try:
            load(act.result, begun.declared.result)
        except ValidationError:
            reason = f"{begun.step.name} must have a result that the next steps can use: resolve it with one"
            await self._stuck(begun, reason)
        if act.act == "resolve":
            await self.chronicle.write(self._answered(begun, act.result, 0))
        else:
            checkpoint = self.chronicle.answered(begun.slot, begun.step.name, begun.started_at, act.result)
            told = begun.told(StepSkipped, reason=act.reason)
            await self.chronicle.write(self.chronicle.entry(told, step=begun.step.name, checkpoint=checkpoint))
        return self._done(begun, act.result)
