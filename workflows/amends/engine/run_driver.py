"""Drives `run` from word to word: its steps are done or found on record, its waits are waited."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from domain.amends.errors import AmendsError, Refusal
from workflows.amends.engine.cancellation import Cancellation, CompensationStart, RunStuck
from workflows.amends.engine.children import Children
from workflows.amends.engine.history_writer import HistoryWriter
from workflows.amends.engine.outcomes import OutcomeRecorder
from workflows.amends.engine.recorded_steps import last_begun_step, recorded_steps, turned_back_at
from workflows.amends.engine.step_runner import StepRunner
from workflows.amends.engine.steps.step_execution import StepExecution
from workflows.amends.engine.suspension import SuspendRequest, Suspension
from workflows.amends.engine.user_code.call_rules import RunRules
from workflows.amends.engine.user_code.running import RunCoroutine
from workflows.amends.engine.user_code.user_code import CodeRaised, CodeReturned, UserCode
from workflows.amends.engine.user_code.yielding import LoopTurns
from workflows.amends.engine.waits import SignalsAndTimers
from workflows.amends.ports.execution_log import Fenced, ForeignStep, Suspended
from workflows.amends.run_calls import GatherCall, MisplacedCall, ReceiveCall, SleepCall, Word
from workflows.amends.saga import Saga
from workflows.amends.step import StepCall

_UNDER_WAY = object()
"""What a child comes to that was started and has not told how it ended."""

_OVER = (Fenced, ForeignStep, asyncio.CancelledError, Suspended)
"""After these nothing more is recorded in this execution of the saga."""

TICK: Final = 0.001  # in seconds; a clock need not show that less has passed


class Hanging(AmendsError):
    """run waits for something that is none of its words, since {seconds} s: what takes time belongs into a step."""

    seconds: float


class RunDecided(BaseException):
    """An operator has said, for this reason, what comes of `run` where it is now, whatever its code does by now."""


def _gravity(error: BaseException) -> int:
    """What a saga does about several branches that failed: what is worst for all of them comes first."""
    order = (*_OVER, SuspendRequest, CompensationStart, Refusal)
    return next((number for number, kind in enumerate(order) if isinstance(error, kind)), -1)


class RunDriver:
    """Answers the words of one `run`. `step_execution` are the steps that it has asked for so far, in their order."""

    def __init__(
        self,
        saga: Saga[Any, Any],
        history: HistoryWriter,
        suspension: Suspension,
        cancellation: Cancellation,
        code: UserCode,
        speaks: RunRules,
    ) -> None:
        self.history, self.execution_log = history, history.execution_log
        self.suspension, self.cancellation = suspension, cancellation
        self.code, self.speaks = code, speaks
        self.waiting = SignalsAndTimers(history, suspension, cancellation)
        self.outcomes = OutcomeRecorder(saga, history, suspension, cancellation, code)
        self.runner = StepRunner(saga, history, suspension, cancellation, code, self.outcomes)
        self.children = Children(history, suspension, cancellation, self.outcomes)
        self.step_execution: list[StepExecution] = []
        self._live, self._before = False, 0
        self._last_recorded = last_begun_step(self.execution_log.replay)
        self._occurrences: Counter[str] = Counter()
        self._look_ahead()

    async def until_ended(self, running: RunCoroutine) -> CodeReturned[Any] | CodeRaised:
        """Answer the words of `run` until it ends. Raises CompensationStart, Suspended and the like when it ends."""
        turns = LoopTurns(self.execution_log.monotonic_seconds)
        while (word := await self._next(running)) is not None:
            if turns.is_long:
                await turns.end()
            self._before = self.execution_log.last_step_id
            answer = await _how(self._do(word), (Refusal,))
            self._look_once_more()
            self._look_ahead()
            if isinstance(answer, CodeReturned):
                running.answer(answer.value)
            elif isinstance(answer.error, Refusal):
                running.refuse(answer.error)
        assert running.ended is not None
        return running.ended

    def mark_running_children(self) -> list[StepExecution]:
        """Leave the children that have not told how they ended, for the saga is compensated. Returns what has begun."""
        for each in self.step_execution:
            if each.step.kind == "child" and not each.settled and each.outcome is None:
                self.children.mark_for_compensation(each)
        return self.step_execution

    async def _next(self, running: RunCoroutine) -> Word[Any] | None:
        """What `run` asks for next; None once it has ended. Meanwhile it can be cancelled, and it has a limit.

        It does not matter what it would do now where it was left before. Raises CompensationStart where an earlier
        execution has turned back, RunDecided where an operator has decided.
        """
        self._require_not_left()
        left = limit = self.execution_log.limits.between
        while running.word is None and running.ended is None and self.speaks.misplaced is None:
            if self._may_turn:
                self.cancellation.check_outside_steps()
            if left < TICK:
                raise Hanging(limit)
            since, due = self.execution_log.monotonic_seconds(), self.cancellation.deadline if self._may_turn else None
            patience = left if due is None else min(left, max((due - self.execution_log.now()).total_seconds(), TICK))
            await self.execution_log.wait_for_wakeup(patience)
            left -= self.execution_log.monotonic_seconds() - since
        if self.speaks.misplaced:
            raise self.speaks.misplaced
        self._look_once_more()
        return running.word

    def _require_not_left(self) -> None:
        replay, next_one = self.execution_log.replay, self.execution_log.last_step_id + 1
        if self._last_recorded < next_one <= turned_back_at(replay) < math.inf:
            self.cancellation.check_outside_steps()
        act = self.suspension.operator_action(next_one, None)
        if act is None or act.action == "retry" or (act.action == "skip" and self.cancellation.past_pivot):
            return
        if next_one not in recorded_steps(replay):
            raise RunDecided(act.reason)

    @property
    def _may_turn(self) -> bool:
        """Whether compensation may start here: no earlier execution has begun anything that `run` has not reached."""
        replay, here = self.execution_log.replay, self.execution_log.last_step_id
        return here >= self._last_recorded and (self._live or not replay.recovered)

    def note_await_cancelled(self, word: Word[Any]) -> bool:
        """`run` has cancelled the await of a word; False if the answer is recorded, so that `run` has it at once."""
        recorded = self.execution_log.replay.checkpoints
        if all(step_id in recorded for step_id in range(self._before + 1, self._before + 1 + _steps(word))):
            return False
        self.cancellation.given_up = word.says
        self.code.expire_all()
        return True

    def _look_ahead(self) -> None:
        """Say whether the next step is on record: then its arguments need not be looked at again."""
        self.speaks.next_is_recorded = self.execution_log.last_step_id + 1 in self.execution_log.replay.checkpoints

    def _look_once_more(self) -> None:
        """Raise CompensationStart, or RunStuck, if `run` did not wait for what was done."""
        if self.cancellation.given_up:
            self.cancellation.check_outside_steps()

    async def _do(self, word: Word[Any]) -> Any:
        match word:
            case StepCall():
                step_execution = self._begin(word)
                done = await self._perform(step_execution)
                return await self._settle(step_execution) if done is _UNDER_WAY else done
            case GatherCall():
                return await self._gather(word.calls)
            case ReceiveCall():
                return await self.waiting.receive(word.name, word.signal, word.patience)
            case SleepCall():
                return await self.waiting.sleep(word.duration)

    async def _gather(self, calls: Sequence[StepCall[Any]]) -> tuple[Any, ...]:
        """Do several steps at the same time: numbered in their order, and all of them settled before any is judged."""
        if pivot := next((call.step.name for call in calls if call.step.pivot), None):
            problem = f"{pivot} is the pivot: the others may fail, and there is no way back from it"
            raise MisplacedCall("gather", problem)
        step_execution = [self._begin(call) for call in calls]
        with self.suspension.deferred():
            settled = await asyncio.gather(*(_how(self._perform(step)) for step in step_execution))
        worst = _worst(settled)
        if isinstance(worst, SuspendRequest):
            await self.suspension.suspend(_together(settled))
        if not isinstance(worst, _OVER):
            for number, step in enumerate(step_execution):
                how = settled[number]
                if isinstance(how, CodeReturned) and how.value is _UNDER_WAY:
                    settled[number] = await _how(self._settle(step), (Refusal, CompensationStart))
            worst = _worst(settled)
        if worst is not None:
            raise worst
        return tuple(how.value for how in settled if isinstance(how, CodeReturned))

    async def _settle(self, step_execution: StepExecution) -> Any:
        """What came of a child that is under way; the saga is suspended until the child tells."""
        try:
            return await self.children.await_end(step_execution)
        finally:
            self._live = True

    async def _perform(self, step_execution: StepExecution) -> Any:
        step = step_execution.step
        checkpoint = await self.suspension.matching_checkpoint(step_execution.step_id, step.name, step_execution.call)
        if checkpoint:
            try:
                return await self.outcomes.replay(step_execution, checkpoint)
            except Refusal:
                if step.kind == "child":
                    self.children.check_compensation_requested(step_execution)
                raise
        step_execution.call.require_storable_arguments()
        self.history.hide_values(step_execution.hidden_values())
        act = self.suspension.operator_action(step_execution.step_id, step.name)
        if step.kind == "child" and (act is None or act.action == "retry"):
            if not self.children.is_under_way(step_execution):
                await self.runner.await_brakes(step_execution)
            await self.children.begin(step_execution, suspend=not self.suspension.is_deferred)
            return _UNDER_WAY
        self.cancellation.check_before_step(step_execution)
        await self.cancellation.record_cancel_lost()
        self._live = True
        if act and act.action != "retry":
            return await self.outcomes.follow_operator(step_execution, act)
        if (exhausted := self.execution_log.replay.exhausted) and not act:
            await self.outcomes.suspend_stuck(step_execution, exhausted.reason)
        return await (
            self.runner.transact(step_execution) if step.kind == "transaction" else self.runner.call(step_execution)
        )

    def _begin(self, call: StepCall[Any]) -> StepExecution:
        name, step_id = call.step.name, self.execution_log.next_step_id()
        self._occurrences[name] += 1
        occurrence = self._occurrences[name]
        redo = self.execution_log.replay.redo.get((name, occurrence), 0)
        key = f"{self.execution_log.identity.root}.{name}.{occurrence}.{redo}"
        doubtful = self.execution_log.replay.recovered and not self._live
        step_execution = StepExecution(call, step_id, occurrence, redo, key, self.execution_log.now(), doubtful)
        self.step_execution.append(step_execution)
        return step_execution


async def _how(
    branch: Awaitable[Any], kinds: tuple[type[BaseException], ...] = (BaseException,)
) -> CodeReturned[Any] | CodeRaised:
    """How a branch ended: an error that it returned is a value. Raises errors of other kinds."""
    try:
        return CodeReturned(await branch)
    except kinds as error:
        return CodeRaised(error)


def _worst(settled: Iterable[CodeReturned[Any] | CodeRaised]) -> BaseException | None:
    """What is raised of several branches that failed."""
    return min((how.error for how in settled if isinstance(how, CodeRaised)), key=_gravity, default=None)


def _together(settled: Iterable[CodeReturned[Any] | CodeRaised]) -> SuspendRequest:
    """What several branches suspend the saga for: first an operator; all that wait for providers or at brakes."""
    resting = [how.error for how in settled if isinstance(how, CodeRaised) and isinstance(how.error, SuspendRequest)]
    first = min(resting, key=lambda each: each.change.rank)

    def instead() -> None:
        if backs := [back for each in resting if (back := _raised(each.instead))]:
            raise backs[0]

    if first.change.rank == 0:
        return SuspendRequest(first.told, first.change, instead, settled=all(each.settled for each in resting))
    due = min((each.change.due_at for each in resting if each.change.due_at), default=None)
    told = tuple(event for each in resting for event in each.told)
    return SuspendRequest(told, replace(first.change, due_at=due), instead, settled=True)


def _raised(instead: Callable[[], None]) -> CompensationStart | RunStuck | None:
    """The start of compensation that comes instead of a suspension, if there is one."""
    try:
        instead()
    except (CompensationStart, RunStuck) as back:
        return back
    return None


def _steps(word: Word[Any]) -> int:
    """How many step numbers a word takes."""
    return len(word.calls) if isinstance(word, GatherCall) else 1
