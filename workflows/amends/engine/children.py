"""Sagas that a saga starts: it rests until they have ended, and calls them back when it must turn back itself."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from domain.amends.errors import Refusal, Unstorable
from workflows.amends.call import OutcomeUnknown
from workflows.amends.engine.cancellation import Cancellation
from workflows.amends.engine.history_writer import HistoryWriter
from workflows.amends.engine.outcomes import Outcomes
from workflows.amends.engine.steps.step_execution import StepExecution
from workflows.amends.engine.suspension import Suspension
from workflows.amends.engine.waits import SOON
from workflows.amends.history import (
    CancelRequested,
    ChildCompensationRequested,
    ChildStarted,
    Problem,
    SagaWaiting,
    WaitEnded,
    saga_histories,
)
from workflows.amends.history.events.children import ended, undone
from workflows.amends.history.problem import UnknownRefusal, refusal_of
from workflows.amends.ports.event_store import record_own
from workflows.amends.ports.execution_log import CompensateChild, StatusChange, Suspended, Taken
from workflows.amends.step import ChildFailed, StepCall
from workflows.amends.values.codec import load


class Children:
    """The children of one life of a saga. They are told of, and tell, in the commits of their own stories."""

    def __init__(
        self, history: HistoryWriter, suspension: Suspension, cancellation: Cancellation, outcomes: Outcomes
    ) -> None:
        self._history, self._suspension, self._cancellation, self._outcomes = (
            history,
            suspension,
            cancellation,
            outcomes,
        )
        self._replay = history.execution_log.replay
        self._started: dict[int, str] = {}

    async def begin(self, step_execution: StepExecution, suspend: bool) -> None:
        """Start a child, unless it is under way or has ended; with `suspend` this saga rests in the same commit.

        A person's wish to try it again starts another one: the first has undone itself.
        """
        if back := self._cancellation.recorded():
            step_execution.outcome = OutcomeUnknown() if step_execution.step_id in back.in_doubt else None
            raise back
        earlier = self._replay.children.get(step_execution.step_id, ())
        if earlier and not self._suspension.decided(step_execution.step_id, step_execution.step.name):
            step_execution.started_at = earlier[-1].started_at
            if earlier[-1].arguments != step_execution.digest:
                await self._suspension.stranded(
                    f"{step_execution.step.name} was started with other arguments than the code gives"
                )
            return
        self._cancellation.anywhere()  # nothing was started: there is nothing to undo
        await self._cancellation.tell_lost()
        child = f"{step_execution.key}.{len(earlier)}" if earlier else step_execution.key
        await self._start(step_execution, child, suspend)

    async def settle(self, step_execution: StepExecution) -> Any:
        """What came of a child that was begun: its result or its refusal. Rests until it is told; raises Parked."""
        child = self._child(step_execution)
        while True:
            await self._cancellation.tell_lost()
            if told := self._replay.signals.get(ended(child)):
                try:
                    return await self._answer(step_execution, child, told[-1])
                except Refusal:
                    self.compensation_requested(step_execution)
                    raise
            await self._suspend(step_execution, child)

    def leave(self, step_execution: StepExecution) -> None:
        """The saga turns back while a child is under way: it is to be called back like one that was completed."""
        if self._is_started(step_execution):
            step_execution.in_doubt, step_execution.outcome = True, OutcomeUnknown()

    def compensation_requested(self, step_execution: StepExecution) -> None:
        """Raise CompensationStart if a child was compensated at the wish of this saga: its refusal says nothing new."""
        if self._child(step_execution) in self._replay.requested:
            self._cancellation.anywhere()

    async def undo(self, step_execution: StepExecution, reason: str) -> None:
        """Return once a child is undone that was completed, or that nobody knows of. Rests until then."""
        if not self._is_started(step_execution) and not step_execution.settled:
            return
        child = self._child(step_execution)
        change = StatusChange("compensating", reason, undone(child))
        while not self._undone(child):
            told = (
                []
                if child in self._replay.requested
                else [ChildCompensationRequested(step_execution.step_id, child, reason)]
            )
            recall = self._recall(child, reason) if told else None
            step_commit = self._history.step_commit(*told, change=change, suspend=True, recall=recall)
            if await self._history.write_if_untold(step_commit):
                raise Suspended
            await self._reload()

    def _is_started(self, step_execution: StepExecution) -> bool:
        return step_execution.step_id in self._started or bool(self._replay.children.get(step_execution.step_id))

    def _child(self, step_execution: StepExecution) -> str:
        """The id of the child of a step; in a fork, whose story does not tell of it, it is the step's key."""
        if child := self._started.get(step_execution.step_id):
            return child
        earlier = self._replay.children.get(step_execution.step_id)
        return earlier[-1].id if earlier else step_execution.key

    def _undone(self, child: str) -> bool:
        told: Any = [*self._replay.signals.get(ended(child), ()), *self._replay.signals.get(undone(child), ())]
        return bool(told) and told[-1]["status"] == "compensated"

    async def _start(self, step_execution: StepExecution, child: str, suspend: bool) -> None:
        history, definition = self._history, step_execution.call.declared.child
        assert definition is not None
        (given,) = step_execution.call.given
        told: list[object] = [step_execution.told(ChildStarted, child=child)]
        change = None
        if suspend:
            told.append(SagaWaiting(step_execution.step_id, ended(child), None))
            change = StatusChange("waiting", None, ended(child), self._cancellation.deadline)
        try:
            start = history.execution_log.order(definition.saga_type, given, child, history.cause())
        except Unstorable as wrong:
            await self._outcomes.stuck(step_execution, f"{step_execution.step.name} cannot be started: {wrong}")
        step_commit = history.step_commit(
            *told, step=step_execution.step.name, change=change, suspend=suspend, start=start
        )
        try:
            written = await history.write_if_untold(step_commit)
        except Taken:
            reason = f"{step_execution.step.name} cannot be started: another workflow has the id {child}"
            await self._outcomes.stuck(step_execution, reason)
        if not written:
            await self._reload()
            await self.begin(step_execution, suspend)
        elif suspend:
            raise Suspended
        else:
            self._started[step_execution.step_id] = child

    async def _answer(self, step_execution: StepExecution, child: str, told: Any) -> Any:
        over = WaitEnded(step_execution.step_id, ended(child), "signal")
        if told["status"] == "completed":
            return await self._outcomes.ended(step_execution, told["result"], over)
        return await self._outcomes.refused(step_execution, _refusal(step_execution.call, told), 1, over)

    async def _suspend(self, step_execution: StepExecution, child: str) -> None:
        """Rest until the child tells something; call it back first if this saga wants to turn back."""
        history, step_id, execution_log = self._history, step_execution.step_id, self._history.execution_log
        recalled = child in self._replay.requested
        wanted = None if recalled else self._cancellation.wanted()
        due = None if recalled or wanted else self._cancellation.deadline
        if due and step_id in self._replay.waits and due - execution_log.now() < SOON:
            return await execution_log.pause(due)
        told: list[object] = [] if step_id in self._replay.waits else [SagaWaiting(step_id, ended(child), None)]
        recall = None
        if wanted:
            told.append(ChildCompensationRequested(step_id, child, wanted.reason))
            recall = self._recall(child, wanted.reason)
        change = StatusChange("waiting", None, ended(child), due)
        if await history.write_if_untold(history.step_commit(*told, change=change, suspend=True, recall=recall)):
            raise Suspended
        return await self._reload()

    def _recall(self, child: str, reason: str) -> CompensateChild:
        told = f"its parent {self._history.execution_log.identity.id} turns back: {reason}"
        cause = self._history.cause()
        return CompensateChild(child, told, record_own(saga_histories.stream(child), CancelRequested(told), cause))

    async def _reload(self) -> None:
        self._replay = await self._history.execution_log.reload()
        self._history.reread(self._replay)


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
