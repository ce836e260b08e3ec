"""One life of one saga: does its steps, records each with its events in one commit, and turns back when it must."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from time import monotonic
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from domain.errors import AmendsError, Contended, Refusal, TooLarge, Unstorable
from workflows.codec import kept, load, problems
from workflows.engine.attention import Attention, Resting
from workflows.engine.begun import Begun
from workflows.engine.children import Children
from workflows.engine.chronicle import TURN_BACK, Chronicle
from workflows.engine.compensating import TurnBack, turn_back
from workflows.engine.marks import on_loop
from workflows.engine.outcomes import Outcomes
from workflows.engine.running import Running
from workflows.engine.speaking import RunSpeaks
from workflows.engine.turning import BEFORE_RUN, GaveUp, Turning
from workflows.engine.user_code import Exited, Raised, Returned, UserCode, hold_exits
from workflows.engine.waiting import Waiting
from workflows.ids import derived_id
from workflows.ports import Fenced, ForeignStep, Journal, Parked, Recording, StatusChange
from workflows.saga import Saga, Unknown
from workflows.sensitive import hidden_values, marks
from workflows.steps import StepCall
from workflows.story import Problem, SagaCompleted, SagaStuck
from workflows.words import Gathered, MisplacedCall, Received, Slept, Word

_UNDER_WAY = object()
"""What a child comes to that was started and has not told how it ended."""

_OVER = (Fenced, ForeignStep, asyncio.CancelledError, Parked)
"""After these nothing more is recorded in this life of the saga."""


class Hanging(AmendsError):
    """run waits for something that is none of its words, since {seconds} s: what takes time belongs into a step."""

    seconds: float


def _gravity(error: BaseException) -> int:
    """What a saga does about several branches that failed: what is worst for all of them comes first."""
    order = (*_OVER, Resting, TurnBack, Refusal)
    return next((number for number, kind in enumerate(order) if isinstance(error, kind)), -1)


class Execution:
    """Runs one saga against a journal."""

    def __init__(self, saga: Saga[Any, Any], journal: Journal) -> None:
        self.saga, self.journal, self.definition = saga, journal, saga.definition
        self.chronicle = Chronicle(journal)
        self.speaks = RunSpeaks(journal.bell, journal.limits, self.now, self.new_id)
        self.code = UserCode(journal.identity.id, self.definition.kind, journal.limits, self.speaks.noted)
        self.attention = Attention(self.chronicle, self.definition.kind)
        self.turning = Turning(self.chronicle)
        self.waiting = Waiting(self.chronicle, self.attention, self.turning)
        self.outcomes = Outcomes(saga, self.chronicle, self.attention, self.turning, self.code)
        self.children = Children(self.chronicle, self.attention, self.turning, self.outcomes)
        self.begun: list[Begun] = []
        self._live, self._replaying = False, False
        self._last_recorded = _last_recorded(journal.recording)
        self._occurrences: Counter[str] = Counter()
        self._ids = 0

    async def run(self, given: Any) -> Any:
        """From input to result, both plain data. Raises TurnedBack once all is compensated, Parked, or Fenced."""
        hold_exits()
        try:
            request = await self._request(given)
            if (asked := self.attention.decided(BEFORE_RUN, None)) and asked.act == "resolve":
                return await self._complete_unrun(asked.result)
            if (exhausted := self.journal.recording.exhausted) and not exhausted.runs:
                await self.attention.stuck(SagaStuck(exhausted.reason, BEFORE_RUN))
            return await self._forward(request)
        except TurnBack as back:
            for step in self.begun:
                if step.step.kind == "child" and not step.settled and step.outcome is None:
                    self.children.leave(step)
            undo = self.children.undo
            return await turn_back(self.saga, self.begun, self.chronicle, self.attention, back, self.code, undo)
        except ForeignStep:
            return await self.attention.stranded(
                "a step was recorded that is not this saga's: look at it in DBOS's tools"
            )

    def now(self) -> datetime:
        return self.chronicle.completed_at

    def new_id(self) -> UUID:
        self._ids += 1
        return derived_id(self.journal.identity.root, "id", self._ids)

    # -- what `run` asks for

    async def _until_ended(self, running: Running) -> Returned[Any] | Raised:
        """Answer the words of `run` until it ends. Raises TurnBack, Parked and the like: then it does not go on."""
        while (word := await self._next(running)) is not None:
            numbers = range(self.journal.last_slot + 1, self.journal.last_slot + 1 + _steps(word))
            self._replaying = all(slot in self.journal.recording.checkpoints for slot in numbers)
            try:
                answer = await self._do(word)
            except Refusal as refusal:
                self._look_once_more()
                running.refuse(refusal)
            else:
                self._look_once_more()
                running.answer(answer)
        assert running.ended is not None
        return running.ended

    async def _next(self, running: Running) -> Word[Any] | None:
        """What `run` asks for next; None once it has ended. Meanwhile it can be cancelled, and it has a limit."""
        left = limit = self.journal.limits.between
        while running.word is None and running.ended is None and self.speaks.misplaced is None:
            if self._may_turn:
                self.turning.anywhere()
            if left <= 0:
                raise Hanging(limit)
            since, due = monotonic(), self.turning.deadline if self._may_turn else None
            patience = left if due is None else min(left, max((due - self.journal.now()).total_seconds(), 0.001))
            await self.journal.listen(patience)
            left -= monotonic() - since
        if self.speaks.misplaced:
            raise self.speaks.misplaced
        self._look_once_more()
        return running.word

    @property
    def _may_turn(self) -> bool:
        """Whether `run` may be turned back where it is: no earlier life has begun anything that it has not reached."""
        return self.journal.last_slot >= self._last_recorded and (self._live or not self.journal.recording.recovered)

    def _stopped_waiting(self, word: Word[Any]) -> bool:
        """Something in `run` took back what it asks for; False if that is recorded, so that `run` has it at once."""
        if self._replaying:
            return False
        self.turning.given_up = word.says
        self.code.give_up()
        return True

    def _look_once_more(self) -> None:
        """Raise TurnBack, or GaveUp, if `run` did not wait for what was done."""
        if self.turning.given_up:
            self.turning.anywhere()

    async def _do(self, word: Word[Any]) -> Any:
        match word:
            case StepCall():
                begun = self._begin(word)
                done = await self._perform(begun)
                return await self._settle(begun) if done is _UNDER_WAY else done
            case Gathered():
                return await self._gather(word.calls)
            case Received():
                return await self.waiting.receive(word.name, word.signal, word.patience)
            case Slept():
                return await self.waiting.sleep(word.duration)

    async def _gather(self, calls: Sequence[StepCall[Any]]) -> tuple[Any, ...]:
        """Do several steps at the same time: numbered in their order, and all of them settled before any is judged."""
        if pivot := next((call.step.name for call in calls if call.step.pivot), None):
            problem = f"{pivot} is the pivot: the others may fail, and there is no way back from it"
            raise MisplacedCall("gather", problem)
        begun = [self._begin(call) for call in calls]
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
        if (exhausted := self.journal.recording.exhausted) and not act:
            await self.outcomes.stuck(begun, exhausted.reason)
        return await (self.outcomes.transact(begun) if step.kind == "transaction" else self.outcomes.call(begun))

    # -- the way forward

    async def _request(self, given: Any) -> Any:
        self.chronicle.hide(hidden_values(given, marks(self.definition.input)))
        try:
            return on_loop.during(self.code.who(None), partial(load, given), self.definition.input)
        except ValidationError as error:
            await self.attention.stranded(f"the recorded input does not fit its type: {problems(error)[0]}")

    async def _forward(self, request: Any) -> Any:
        """Let `run` run to its end, and record how it ended."""
        scope = self.code.scope(None)
        running = Running(self.saga.run(request), scope, self.speaks, self.journal.bell, self._stopped_waiting)
        try:
            ended = await self._until_ended(running)
            if isinstance(ended, Returned) and (wrong := self.speaks.misplaced or self.speaks.forgotten):
                ended = Raised(wrong)
            elif isinstance(ended, Returned):
                ended = Returned(self._result(ended.value))
        except (GaveUp, Hanging, MisplacedCall, Exited, Contended, Unstorable, TooLarge) as failed:
            ended = Raised(failed)
        finally:
            await running.close()
        return await (self._complete(ended.value) if isinstance(ended, Returned) else self._failed(ended.error))

    def _result(self, value: Any) -> Any:
        """What `run` returned, as plain data. Raises TooLarge and Unstorable."""
        what, limit = f"the result of {self.definition.kind}", self.journal.limits.value
        keep = partial(kept, annotation=self.definition.output, what=what, limit=limit)
        return on_loop.during(self.code.who(None), keep, value).data

    async def _failed(self, error: BaseException) -> Any:
        """`run` has ended with an error: a Refusal turns the saga back, anything else is for a person to look at."""
        if isinstance(error, Refusal):
            try:
                problem = self.chronicle.refusal(error)
            except (Unstorable, TooLarge) as unstorable:
                error = unstorable
            else:
                if not self.turning.past_pivot:
                    raise TurnBack(problem.message, problem) from error
                return await self._between_steps(f"refused after the point of no return: {problem.message}", problem)
        if isinstance(error, GaveUp):
            return await self._between_steps(error.problem.message, error.problem)
        problem = self.chronicle.problem(error)
        reason = f"a bug between the steps of {self.definition.kind}: {self.chronicle.bug(error)}"
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

    async def _complete_unrun(self, result: Any) -> Any:
        """A person says what came of a saga whose `run` may not be run."""
        while self.journal.last_slot < self._last_recorded:
            self.journal.next_slot()
        return await self._complete(result)

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

    def _begin(self, call: StepCall[Any]) -> Begun:
        name, slot = call.step.name, self.journal.next_slot()
        self._occurrences[name] += 1
        occurrence = self._occurrences[name]
        redo = self.journal.recording.redo.get((name, occurrence), 0)
        key = f"{self.journal.identity.root}.{name}.{occurrence}.{redo}"
        doubtful = self.journal.recording.recovered and not self._live
        begun = Begun(call, slot, occurrence, redo, key, self.journal.now(), doubtful)
        self.begun.append(begun)
        return begun


def _steps(word: Word[Any]) -> int:
    """How many step numbers a word takes."""
    return len(word.calls) if isinstance(word, Gathered) else 1


def _last_recorded(recording: Recording) -> int:
    """The last step of the way forward that an earlier life has begun, as far as that is on record."""
    back = next((slot for slot, known in recording.checkpoints.items() if known.name == TURN_BACK), None)
    slots = {*recording.checkpoints, *recording.failures, *recording.children, *recording.waits}
    return max((slot for slot in slots if back is None or slot < back), default=0)
