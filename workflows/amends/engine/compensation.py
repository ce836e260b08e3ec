"""The way back: everything that was done, or may have been done, is undone in reverse order of its start."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, NoReturn

from domain.amends.vocabulary import Unreadable
from workflows.amends.engine.history_writer import TURN_BACK, Chronicle
from workflows.amends.engine.provider_wait import out_of_patience, waited, waiting
from workflows.amends.engine.steps.attempts import Answered, Bug, Down, Failed, Refused, Trial, attempt
from workflows.amends.engine.steps.changes import Changes
from workflows.amends.engine.steps.step_execution import Begun
from workflows.amends.engine.steps.transactions import transact
from workflows.amends.engine.suspension import Attention
from workflows.amends.engine.user_code.turns import Turns
from workflows.amends.engine.user_code.user_code import Raised, UserCode
from workflows.amends.history import (
    CompensationFailed,
    CompensationWaiting,
    Problem,
    SagaCompensated,
    SagaCompensating,
    SagaStuck,
    StepCompensated,
)
from workflows.amends.ports.execution_log import Entry, StatusChange
from workflows.amends.saga import Saga, Undo
from workflows.amends.step import Compensation
from workflows.amends.values.codec import plain
from workflows.amends.values.problem import TurnedBack, is_refusal
from workflows.amends.values.said import said


class TurnBack(BaseException):
    """There is only the way back from here; not an Exception, so that `run` cannot catch it."""

    def __init__(self, reason: str, problem: Problem, in_doubt: tuple[int, ...] = ()) -> None:
        self.reason, self.problem, self.in_doubt = reason, problem, in_doubt


async def turn_back(
    saga: Saga[Any, Any],
    begun: Sequence[Begun],
    chronicle: Chronicle,
    attention: Attention,
    back: TurnBack,
    code: UserCode,
    undo_child: Callable[[Begun, str], Awaitable[None]],
) -> NoReturn:
    """Record that the saga turns back, undo its steps, record that, and raise TurnedBack."""
    in_doubt = tuple(step.slot for step in begun if step.in_doubt)
    told = SagaCompensating(back.reason, back.problem, in_doubt)
    await _milestone(TURN_BACK, told, StatusChange("compensating", back.reason), chronicle, attention)
    turns = Turns()
    for step in reversed(begun):
        if turns.is_long:
            await turns.end()
        if step.outcome is not None and step.step.compensation is not None:
            undoing = _Undoing(saga, step, step.step.compensation, chronicle, attention, code)
            await undoing.undo(partial(undo_child, step, back.reason))
    done = StatusChange("compensated", back.reason)
    await _milestone("compensated", SagaCompensated(back.reason), done, chronicle, attention)
    raise TurnedBack(saga.definition.name, back.reason, back.problem)


async def _milestone(name: str, told: object, change: StatusChange, chronicle: Chronicle, attention: Attention) -> None:
    slot, known = chronicle.journal.next_slot(), chronicle.journal.recording.checkpoints
    recorded = next((number for number, checkpoint in known.items() if checkpoint.name == name), 0)
    while slot < recorded:  # an earlier life did more before it turned back, such as asking a person
        slot = chronicle.journal.next_slot()
    if not await attention.recorded(slot, name):
        checkpoint = chronicle.answered(slot, name, chronicle.journal.now(), {"reason": change.reason})
        await chronicle.write(chronicle.entry(told, checkpoint=checkpoint, change=change))


class _Undoing:
    """One step being undone."""

    def __init__(
        self,
        saga: Saga[Any, Any],
        step: Begun,
        by: Compensation,
        chronicle: Chronicle,
        attention: Attention,
        code: UserCode,
    ) -> None:
        self.saga, self.step, self.by, self.chronicle, self.attention = saga, step, by, chronicle, attention
        self.code = code
        self.slot = chronicle.journal.next_slot()
        self.started_at = chronicle.journal.now()

    async def undo(self, child: Callable[[], Awaitable[None]]) -> None:
        """Undo the step, unless it is recorded as undone or a person decided about it; `child` undoes a child."""
        checkpoint = await self.attention.recorded(self.slot, self.by.name)
        if checkpoint:
            self.chronicle.passed(checkpoint)
            return
        self.chronicle.hide(self.step.hidden())
        act = self.attention.decided(self.slot, self.by.name)
        exhausted = self.chronicle.journal.recording.exhausted
        if act and act.act != "retry":
            told = self._told(0, by="skip" if act.act == "skip" else "resolve")
            await self.chronicle.write(self._entry(told, plain("null")))
        elif exhausted and not act:
            await self._stuck(exhausted.reason, None, 0)
        elif self.step.step.kind == "child":
            await child()
            await self.chronicle.write(self._entry(self._told(1), None))
        elif self.step.step.kind == "transaction":
            await self._transact()
        else:
            await self._call()

    async def _call(self) -> None:
        key = f"{self.chronicle.journal.identity.root}.{self.by.name}.{self.step.occurrence}.{self.step.redo}"

        async def body(number: int) -> None:
            undo = Undo(self.step.key, key, self.step.known_outcome(), number)
            await self.by.body(self.saga, undo, *self.step.arguments())

        trial = Trial(self.by.name, self.slot, body, self.by.retry, self.by.timeout, self._failed)
        match await attempt(trial, self.chronicle, self.code):
            case Answered(_, attempts):
                await self.chronicle.write(self._entry(self._told(attempts), None))
            case Refused(_, problem, attempts):
                await self._stuck(f"{self.by.name} was refused: {problem.message}", problem, attempts)
            case Failed(problem, attempts):
                reason = f"{self.by.name} failed {attempts} times, lastly with: {problem.message}"
                await self._stuck(reason, problem, attempts)
            case Bug(problem, attempts):
                await self._stuck(f"a bug in {self.by.name}: {problem.message}", problem, attempts)
            case Down() as down:
                await self._suspend(down)

    async def _suspend(self, down: Down) -> NoReturn:
        """Rest until the provider is back; a person is asked when that takes too long."""
        journal, step = self.chronicle.journal, self.step
        known = journal.recording.provider_waits.get(self.slot)
        wait, until = waiting(replace(down, sent=False), known, journal)
        if journal.now() >= until:
            await self._stuck(out_of_patience(self.by.name, down, wait), down.problem, down.attempts)
        name, undoes = step.step.name, self.by.name
        told = CompensationWaiting(name, step.occurrence, undoes, self.slot, **waited(down, wait, until))
        await self.attention.suspend(None if known == wait else told, wait, until)

    async def _transact(self) -> None:
        async def body(changes: Changes) -> None:
            await self.by.body(self.saga, changes, *self.step.arguments())

        def entry(_: None, changes: Changes) -> Entry:
            return self._entry(self._told(1), None, changes)

        by = self.by
        ended = await transact(by.name, self.chronicle, self.code, by.timeout, body, entry, _nothing)
        if not isinstance(ended, Raised):
            return
        error = ended.error
        if isinstance(error, Unreadable):
            await self.attention.stranded(f"{self.by.name}: {said(error)}")
        problem = self.chronicle.problem(error)
        reason = f"{self.by.name} failed, and did nothing: {self.chronicle.bug(error)}"
        if is_refusal(error):
            reason = f"{self.by.name} was refused: {problem.message}"
        await self._stuck(reason, problem, 1)

    def _told(self, attempts: int, by: Any = "compensation") -> StepCompensated:
        step = self.step
        return StepCompensated(step.step.name, step.occurrence, self.by.name, self.slot, attempts, by)

    def _failed(self, attempts: int, problem: Problem, due: datetime | None) -> CompensationFailed:
        step = self.step
        return CompensationFailed(step.step.name, step.occurrence, self.by.name, self.slot, attempts, problem, due)

    def _entry(self, told: StepCompensated, result: Any, changes: Changes | None = None) -> Entry:
        return self.chronicle.entry(
            told,
            step=self.by.name,
            business=changes.events if changes else (),
            expected=changes.expected if changes else None,
            checkpoint=self.chronicle.answered(self.slot, self.by.name, self.started_at, result),
        )

    async def _stuck(self, reason: str, problem: Problem | None, attempts: int) -> NoReturn:
        step = self.step
        told = SagaStuck(
            reason, self.slot, step.step.name, step.occurrence, step.step.kind, attempts, self.by.name, problem
        )
        await self.attention.stuck(told)


def _nothing() -> None:
    """Nothing keeps a saga that turns back from trying again."""
