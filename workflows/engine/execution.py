"""One life of one saga: does its steps, records each with its events in one commit, and turns back when it must."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from domain.errors import Misdeclared, Refusal
from workflows.codec import digest, dump, load, problems
from workflows.engine.attention import Attention, Resting
from workflows.engine.begun import Begun
from workflows.engine.children import Children
from workflows.engine.chronicle import Chronicle
from workflows.engine.compensating import TurnBack, turn_back
from workflows.engine.outcomes import Outcomes
from workflows.engine.turning import Turning
from workflows.engine.waiting import Waiting
from workflows.ids import derived_id
from workflows.ports import Fenced, ForeignStep, Journal, Parked, StatusChange
from workflows.saga import Saga, Unknown
from workflows.sensitive import hidden_values, marks
from workflows.steps import StepCall, StepSpec, performer
from workflows.story import Problem, SagaCompleted, SagaStuck

_UNDER_WAY = object()
"""What a child comes to that was started and has not told how it ended."""

_OVER = (Fenced, ForeignStep, asyncio.CancelledError, Parked)
"""After these nothing more is recorded in this life of the saga."""


def _gravity(error: BaseException) -> int:
    """What a saga does about several branches that failed: what is worst for all of them comes first."""
    order = (*_OVER, Resting, TurnBack, Refusal)
    return next((number for number, kind in enumerate(order) if isinstance(error, kind)), -1)


class Execution:
    """Runs one saga against a journal."""

    def __init__(self, saga: Saga[Any, Any], journal: Journal) -> None:
        self.saga, self.journal, self.definition = saga, journal, saga.definition
        self.chronicle = Chronicle(journal)
        self.attention = Attention(self.chronicle)
        self.turning = Turning(self.chronicle)
        self.waiting = Waiting(self.chronicle, self.attention, self.turning)
        self.outcomes = Outcomes(saga, self.chronicle, self.attention, self.turning)
        self.children = Children(self.chronicle, self.attention, self.turning, self.outcomes)
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
            for step in self.begun:
                if step.step.kind == "child" and not step.settled and step.outcome is None:
                    self.children.leave(step)
            undo = self.children.undo
            return await turn_back(self.saga, self.begun, self.chronicle, self.attention, back, undo)
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
        begun = self._begin(step, arguments)
        done = await self._perform(begun)
        return await self._settle(begun) if done is _UNDER_WAY else done

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
        if not isinstance(worst, _OVER):
            for number, step in enumerate(begun):
                if settled[number] is _UNDER_WAY:
                    settled[number] = await self._told(step)
            worst = min((each for each in settled if isinstance(each, BaseException)), key=_gravity, default=None)
        if worst is not None:
            raise worst
        return tuple(settled)

    async def _told(self, begun: Begun) -> Any:
        """What came of a child among other branches, be it a refusal or a reason to turn back."""
        try:
            return await self._settle(begun)
        except (Refusal, TurnBack) as answer:
            return answer

    async def _settle(self, begun: Begun) -> Any:
        """What came of a child that is under way; until it tells, the saga rests."""
        try:
            return await self.children.settle(begun)
        finally:
            self._live = True

    async def _perform(self, begun: Begun) -> Any:
        step = begun.step
        checkpoint = await self.attention.recorded(begun.slot, step.name, begun.digest)
        if checkpoint:
            try:
                return await self.outcomes.replayed(begun, checkpoint)
            except Refusal:
                if step.kind == "child":
                    self.children.called_back(begun)
                raise
        act = self.attention.decided(begun.slot, step.name)
        if step.kind == "child" and (act is None or act.act == "retry"):
            await self.children.begin(begun, park=not self.attention.is_later)
            return _UNDER_WAY
        self.turning.before(begun)
        await self.turning.tell_lost()
        self._live = True
        if act and act.act != "retry":
            return await self.outcomes.as_decided(begun, act)
        if self.journal.recording.exhausted and not act:
            await self.outcomes.stuck(begun, self.journal.recording.exhausted)
        return await (self.outcomes.transact(begun) if step.kind == "transaction" else self.outcomes.call(begun))

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
        """Record that all is done, knowing all that the saga was told: a cancel that came in time is not lost."""
        slot = self.journal.next_slot()
        if await self.attention.recorded(slot, "complete"):
            if self.journal.recording.called_back:
                self.turning.anywhere()
            return result
        while True:
            self.turning.anywhere()
            await self.turning.tell_lost()
            checkpoint = self.chronicle.answered(slot, "complete", self.journal.now(), result)
            change = StatusChange("completed")
            entry = self.chronicle.entry(SagaCompleted(result), checkpoint=checkpoint, change=change)
            if await self.chronicle.write_if_untold(entry):
                return result
            self.chronicle.version = (await self.journal.reload()).version

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
