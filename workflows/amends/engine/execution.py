"""One life of one saga: does its steps, records each with its events in one commit, and turns back when it must."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from domain.amends.errors import Contended, TooLarge, Unstorable
from workflows.amends.engine.answering import Answering, Hanging, last_recorded
from workflows.amends.engine.cancellation import BEFORE_RUN, GaveUp, Turning
from workflows.amends.engine.compensation import TurnBack, turn_back
from workflows.amends.engine.history_writer import Chronicle
from workflows.amends.engine.suspension import Attention
from workflows.amends.engine.user_code.marks import on_loop
from workflows.amends.engine.user_code.running import Running
from workflows.amends.engine.user_code.speaking import RunSpeaks
from workflows.amends.engine.user_code.tasks import Exited, guard
from workflows.amends.engine.user_code.user_code import Raised, Returned, UserCode
from workflows.amends.history import Problem, SagaCompleted, SagaStuck
from workflows.amends.history.replay_state import BLOCKS
from workflows.amends.ids import derived_id
from workflows.amends.ports.execution_log import ForeignStep, Journal, StatusChange
from workflows.amends.redaction.sensitive import hidden_values, marks
from workflows.amends.saga import Saga, Unknown
from workflows.amends.values.codec import kept, load, problems
from workflows.amends.values.problem import is_refusal
from workflows.amends.words import MisplacedCall


class Execution:
    """Runs one saga against a journal."""

    def __init__(self, saga: Saga[Any, Any], journal: Journal) -> None:
        self.saga, self.journal, self.definition = saga, journal, saga.definition
        self.chronicle = Chronicle(journal)
        self.speaks = RunSpeaks(saga, journal.bell, journal.limits, *_says(self.chronicle))
        self.code = UserCode(journal.identity.id, self.definition.kind, journal.limits, self.speaks.noted)
        self.attention = Attention(self.chronicle, self.definition.kind)
        self.turning = Turning(self.chronicle)
        self.answering = Answering(saga, self.chronicle, self.attention, self.turning, self.code, self.speaks)

    async def run(self, given: Any) -> Any:
        """From input to result, both plain data. Raises TurnedBack once all is compensated, Parked, or Fenced."""
        guard()
        try:
            request = await self._request(given)
            if (asked := self.attention.decided(BEFORE_RUN, None)) and asked.act == "resolve":
                return await self._complete_unrun(asked.result)
            if (exhausted := self.journal.recording.exhausted) and not exhausted.runs:
                await self.attention.stuck(SagaStuck(exhausted.reason, BEFORE_RUN))
            return await self._forward(request)
        except TurnBack as back:
            begun, undo = self.answering.leave(), self.answering.children.undo
            return await turn_back(self.saga, begun, self.chronicle, self.attention, back, self.code, undo)
        except ForeignStep:
            return await self.attention.stranded(
                "a step was recorded that is not this saga's: look at it in DBOS's tools"
            )

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
        running = Running(self.saga.run(request), scope, self.speaks, self.journal.bell, self.answering.stopped_waiting)
        try:
            ended = await self.answering.until_ended(running)
            if isinstance(ended, Returned) and (wrong := self.speaks.misplaced or self.speaks.forgotten):
                ended = Raised(wrong)
            elif isinstance(ended, Returned):
                ended = Returned(self._result(ended.value))
        except (GaveUp, Hanging, MisplacedCall, Exited, Contended, Unstorable, TooLarge) as failed:
            ended = Raised(failed)
        finally:
            await running.close()
        if isinstance(ended, Raised):
            return await self._failed(ended.error)
        if reason := self._stands_still():
            return await self._between_steps(reason, Problem("Exhausted", reason))
        return await self._complete(ended.value)

    def _stands_still(self) -> str | None:
        """Why a saga is not completed though it has done all: it has blocked an event loop once too often."""
        recording, act = self.journal.recording, self.attention.decided(self.journal.last_slot + 1, None)
        if recording.blocks >= BLOCKS and recording.exhausted:
            return recording.exhausted.reason
        return act.reason if act and act.act != "retry" else None

    def _result(self, value: Any) -> Any:
        """What `run` returned, as plain data. Raises TooLarge and Unstorable."""
        what, limit = f"the result of {self.definition.kind}", self.journal.limits.value
        keep = partial(kept, annotation=self.definition.output, what=what, limit=limit)
        return on_loop.during(self.code.who(None), keep, value).data

    async def _failed(self, error: BaseException) -> Any:
        """`run` has ended with an error: a Refusal turns the saga back, anything else is for a person to look at."""
        if is_refusal(error):
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
        for step in self.answering.begun:
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
        while self.journal.last_slot < last_recorded(self.journal.recording):
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
            self.chronicle.reread(await self.journal.reload())


def _says(chronicle: Chronicle) -> tuple[Callable[[], datetime], Callable[[], UUID]]:
    """What `run` is told of the time, and the ids that it makes; methods of an execution would hold it in a circle."""
    root, ids = chronicle.journal.identity.root, count(1)
    return lambda: chronicle.completed_at, lambda: derived_id(root, "id", next(ids))
