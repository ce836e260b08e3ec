"""Sagas that a saga starts: it rests until they have ended, and calls them back when it must turn back itself."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from domain.amends.errors import Refusal, Unstorable
from workflows.amends.engine.cancellation import Turning
from workflows.amends.engine.history_writer import Chronicle
from workflows.amends.engine.steps.outcomes import Outcomes
from workflows.amends.engine.steps.step_execution import Begun
from workflows.amends.engine.suspension import Attention
from workflows.amends.engine.waits import SOON
from workflows.amends.history import (
    CancelRequested,
    ChildRecalled,
    ChildStarted,
    Problem,
    SagaWaiting,
    WaitEnded,
    stories,
)
from workflows.amends.ports.event_store import record_own
from workflows.amends.ports.execution_log import Parked, Recall, StatusChange, Taken
from workflows.amends.saga import ChildFailed, Unknown
from workflows.amends.step import StepCall
from workflows.amends.values.codec import load
from workflows.amends.values.problem import UnknownRefusal, refusal_of


def ended(child: str) -> str:
    """The signal by which a child tells how it ended."""
    return f"child {child}"


def undone(child: str) -> str:
    """The signal by which a child tells that it was undone after it had been completed."""
    return f"undone {child}"


class Children:
    """The children of one life of a saga. They are told of, and tell, in the commits of their own stories."""

    def __init__(self, chronicle: Chronicle, attention: Attention, turning: Turning, outcomes: Outcomes) -> None:
        self._chronicle, self._attention, self._turning, self._outcomes = chronicle, attention, turning, outcomes
        self._recording = chronicle.journal.recording
        self._started: dict[int, str] = {}

    async def begin(self, begun: Begun, park: bool) -> None:
        """Start a child, unless it is under way or has ended; with `park` this saga rests in the same commit.

        A person's wish to try it again starts another one: the first has undone itself.
        """
        if back := self._turning.recorded():
            begun.outcome = Unknown() if begun.slot in back.in_doubt else None
            raise back
        earlier = self._recording.children.get(begun.slot, ())
        if earlier and not self._attention.decided(begun.slot, begun.step.name):
            begun.started_at = earlier[-1].started_at
            if earlier[-1].arguments != begun.digest:
                await self._attention.stranded(
                    f"{begun.step.name} was started with other arguments than the code gives"
                )
            return
        self._turning.anywhere()  # nothing was started: there is nothing to undo
        await self._turning.tell_lost()
        child = f"{begun.key}.{len(earlier)}" if earlier else begun.key
        await self._start(begun, child, park)

    async def settle(self, begun: Begun) -> Any:
        """What came of a child that was begun: its result or its refusal. Rests until it is told; raises Parked."""
        child = self._child(begun)
        while True:
            await self._turning.tell_lost()
            if told := self._recording.signals.get(ended(child)):
                try:
                    return await self._answer(begun, child, told[-1])
                except Refusal:
                    self.called_back(begun)
                    raise
            await self._rest(begun, child)

    def leave(self, begun: Begun) -> None:
        """The saga turns back while a child is under way: it is to be called back like one that was completed."""
        if self._is_started(begun):
            begun.in_doubt, begun.outcome = True, Unknown()

    def called_back(self, begun: Begun) -> None:
        """Raise TurnBack if a child was compensated because this saga wanted that: its refusal says nothing new."""
        if self._child(begun) in self._recording.recalled:
            self._turning.anywhere()

    async def undo(self, begun: Begun, reason: str) -> None:
        """Return once a child is undone that was completed, or that nobody knows of. Rests until then."""
        if not self._is_started(begun) and not begun.settled:
            return
        child = self._child(begun)
        change = StatusChange("compensating", reason, undone(child))
        while not self._undone(child):
            told = [] if child in self._recording.recalled else [ChildRecalled(begun.slot, child, reason)]
            recall = self._recall(child, reason) if told else None
            entry = self._chronicle.entry(*told, change=change, park=True, recall=recall)
            if await self._chronicle.write_if_untold(entry):
                raise Parked
            await self._reload()

    def _is_started(self, begun: Begun) -> bool:
        return begun.slot in self._started or bool(self._recording.children.get(begun.slot))

    def _child(self, begun: Begun) -> str:
        """The id of the child of a step; in a fork, whose story does not tell of it, it is the step's key."""
        if child := self._started.get(begun.slot):
            return child
        earlier = self._recording.children.get(begun.slot)
        return earlier[-1].child if earlier else begun.key

    def _undone(self, child: str) -> bool:
        told: Any = [*self._recording.signals.get(ended(child), ()), *self._recording.signals.get(undone(child), ())]
        return bool(told) and told[-1]["status"] == "compensated"

    async def _start(self, begun: Begun, child: str, park: bool) -> None:
        chronicle, definition = self._chronicle, begun.call.declared.child
        assert definition is not None
        (given,) = begun.call.given
        told: list[object] = [begun.told(ChildStarted, child=child)]
        change = None
        if park:
            told.append(SagaWaiting(begun.slot, ended(child), None))
            change = StatusChange("waiting", None, ended(child), self._turning.deadline)
        try:
            start = chronicle.journal.order(definition.kind, given, child, chronicle.cause())
        except Unstorable as wrong:
            await self._outcomes.stuck(begun, f"{begun.step.name} cannot be started: {wrong}")
        entry = chronicle.entry(*told, step=begun.step.name, change=change, park=park, start=start)
        try:
            written = await chronicle.write_if_untold(entry)
        except Taken:
            reason = f"{begun.step.name} cannot be started: another workflow has the id {child}"
            await self._outcomes.stuck(begun, reason)
        if not written:
            await self._reload()
            await self.begin(begun, park)
        elif park:
            raise Parked
        else:
            self._started[begun.slot] = child

    async def _answer(self, begun: Begun, child: str, told: Any) -> Any:
        over = WaitEnded(begun.slot, ended(child), "signal")
        if told["status"] == "completed":
            return await self._outcomes.ended(begun, told["result"], over)
        return await self._outcomes.refused(begun, _refusal(begun.call, told), 1, over)

    async def _rest(self, begun: Begun, child: str) -> None:
        """Rest until the child tells something; call it back first if this saga wants to turn back."""
        chronicle, slot, journal = self._chronicle, begun.slot, self._chronicle.journal
        recalled = child in self._recording.recalled
        wanted = None if recalled else self._turning.wanted()
        due = None if recalled or wanted else self._turning.deadline
        if due and slot in self._recording.waits and due - journal.now() < SOON:
            return await journal.pause(due)
        told: list[object] = [] if slot in self._recording.waits else [SagaWaiting(slot, ended(child), None)]
        recall = None
        if wanted:
            told.append(ChildRecalled(slot, child, wanted.reason))
            recall = self._recall(child, wanted.reason)
        change = StatusChange("waiting", None, ended(child), due)
        if await chronicle.write_if_untold(chronicle.entry(*told, change=change, park=True, recall=recall)):
            raise Parked
        return await self._reload()

    def _recall(self, child: str, reason: str) -> Recall:
        told = f"its parent {self._chronicle.journal.identity.id} turns back: {reason}"
        cause = self._chronicle.cause()
        return Recall(child, told, record_own(stories.stream(child), CancelRequested(told), cause))

    async def _reload(self) -> None:
        self._recording = await self._chronicle.journal.reload()
        self._chronicle.reread(self._recording)


def _refusal(call: StepCall[Any], told: Any) -> Refusal:
    """The refusal that made a child turn back, as its parent sees it."""
    name, child, parent = call.step.name, call.declared.child, call.saga
    modules = [definition.module for definition in (getattr(parent, "definition", None), child) if definition]
    if told.get("error"):
        try:
            return refusal_of(load(told["error"], Problem), *modules)
        except (UnknownRefusal, ValidationError):
            return ChildFailed(name, str(told.get("reason", "")))
    return ChildFailed(name, str(told.get("reason", "")))
