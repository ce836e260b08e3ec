"""Sagas that a saga starts: it is suspended until they have ended, and has them compensated when it is compensated
itself."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from domain.amends.errors import Refusal, Unstorable
from workflows.amends.call import OutcomeUnknown
from workflows.amends.engine.cancellation import Cancellation
from workflows.amends.engine.history_writer import HistoryWriter
from workflows.amends.engine.outcomes import OutcomeRecorder
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
from workflows.amends.history.events.children import child_ended_signal, child_undone_signal
from workflows.amends.history.problem import UnknownRefusal, load_refusal
from workflows.amends.ports.event_store import new_amends_event
from workflows.amends.ports.execution_log import ChildIdTaken, CompensateChild, StatusChange, StepCommit, Suspended
from workflows.amends.step import ChildFailed, StepCall
from workflows.amends.values.codec import load


class Children:
    """The children of a saga, in one of its executions. Signals to and from a child are part of the commits of both
    histories."""

    def __init__(
        self, history: HistoryWriter, suspension: Suspension, cancellation: Cancellation, outcomes: OutcomeRecorder
    ) -> None:
        self._history, self._suspension, self._cancellation, self._outcomes = (
            history,
            suspension,
            cancellation,
            outcomes,
        )
        self._started: dict[int, str] = {}

    async def begin(self, step_execution: StepExecution, suspend: bool) -> None:
        """Start a child, unless it is under way or has ended; with `suspend` this saga is suspended in the same commit.

        An operator who has it tried again starts another one: the first has undone itself.
        """
        if back := self._cancellation.recorded_compensation_start():
            step_execution.outcome = OutcomeUnknown() if step_execution.step_id in back.in_doubt else None
            raise back

        async def start() -> StepCommit | None:
            if self.is_under_way(step_execution):
                return None
            self._cancellation.check_outside_steps()  # nothing was started: there is nothing to undo
            await self._cancellation.record_cancel_lost()
            return await self._start(step_execution, suspend)

        try:
            written = await self._history.write_current(start)
        except ChildIdTaken:
            name, child = step_execution.step.name, self._next_id(step_execution)
            await self._outcomes.suspend_stuck(
                step_execution, f"{name} cannot be started: another workflow has the id {child}"
            )
        if written is None:
            await self._require_same(step_execution)
        elif suspend:
            raise Suspended
        else:
            assert written.start is not None
            self._started[step_execution.step_id] = written.start.id

    async def await_end(self, step_execution: StepExecution) -> Any:
        """What came of a child that was begun: its result or its refusal. Raises Suspended until it has ended."""
        child = self._child(step_execution)

        async def suspend() -> StepCommit | None:
            while True:
                await self._cancellation.record_cancel_lost()
                if self._history.current.signals.get(child_ended_signal(child)):
                    return None
                if step_commit := await self._suspended(step_execution, child):
                    return step_commit

        if await self._history.write_current(suspend):
            raise Suspended
        try:
            return await self._answer(
                step_execution, child, self._history.current.signals[child_ended_signal(child)][-1]
            )
        except Refusal:
            self.check_compensation_requested(step_execution)
            raise

    def mark_for_compensation(self, step_execution: StepExecution) -> None:
        """The saga is compensated while a child is under way: the child is to be compensated like one that was
        completed."""
        if self._is_started(step_execution):
            step_execution.in_doubt, step_execution.outcome = True, OutcomeUnknown()

    def check_compensation_requested(self, step_execution: StepExecution) -> None:
        """Raise CompensationStart if a child was compensated at the wish of this saga: its refusal says nothing new."""
        if self._child(step_execution) in self._history.current.requested:
            self._cancellation.check_outside_steps()

    async def undo(self, step_execution: StepExecution, reason: str) -> None:
        """Return once a child is undone that was completed, or that nobody knows of. Raises Suspended until then.

        A child that has not ended yet tells how it ends; one that was completed tells after that that it is undone.
        """
        if not self._is_started(step_execution) and not step_execution.settled:
            return
        child = self._child(step_execution)

        async def request() -> StepCommit | None:
            if self._undone(child):
                return None
            has_ended = step_execution.settled or self._history.current.signals.get(child_ended_signal(child))
            awaited = child_undone_signal(child) if has_ended else child_ended_signal(child)
            change = StatusChange("compensating", reason, awaited)
            asked = child in self._history.current.requested
            told = [] if asked else [ChildCompensationRequested(step_execution.step_id, child, reason)]
            recall = None if asked else self._recall(child, reason)
            return self._history.step_commit(*told, change=change, suspend=True, recall=recall)

        if await self._history.write_current(request):
            raise Suspended

    def _is_started(self, step_execution: StepExecution) -> bool:
        return step_execution.step_id in self._started or bool(
            self._history.current.children.get(step_execution.step_id)
        )

    def _child(self, step_execution: StepExecution) -> str:
        """The id of the child of a step; in a fork, whose history does not tell of it, it is the step's key."""
        if child := self._started.get(step_execution.step_id):
            return child
        earlier = self._history.current.children.get(step_execution.step_id)
        return earlier[-1].id if earlier else step_execution.key

    def _undone(self, child: str) -> bool:
        told: Any = [
            *self._history.current.signals.get(child_ended_signal(child), ()),
            *self._history.current.signals.get(child_undone_signal(child), ()),
        ]
        return bool(told) and told[-1]["status"] == "compensated"

    def is_under_way(self, step_execution: StepExecution) -> bool:
        """Whether a child of a step was started, and no operator wants another one in its place."""
        earlier = self._history.current.children.get(step_execution.step_id)
        return bool(earlier) and not self._suspension.operator_action(step_execution.step_id, step_execution.step.name)

    async def _require_same(self, step_execution: StepExecution) -> None:
        """Suspend a saga as incompatible if its code gives a child that was started another input."""
        child = self._history.current.children[step_execution.step_id][-1]
        step_execution.started_at = child.started_at
        if not await self._suspension.gives_recorded(step_execution.call, child.arguments):
            name = step_execution.step.name
            await self._suspension.suspend_incompatible(f"{name} was started with other arguments than the code gives")

    def _next_id(self, step_execution: StepExecution) -> str:
        """The id of the next child of a step: an operator may have had the first one tried again."""
        earlier = self._history.current.children.get(step_execution.step_id, ())
        return f"{step_execution.key}.{len(earlier)}" if earlier else step_execution.key

    async def _start(self, step_execution: StepExecution, suspend: bool) -> StepCommit:
        """The commit that starts a child; with `suspend` the parent waits for it from then on."""
        history, definition = self._history, step_execution.call.declared.child
        assert definition is not None
        (given,), child = step_execution.call.given, self._next_id(step_execution)
        told: list[object] = [step_execution.step_event(ChildStarted, child=child)]
        change = None
        if suspend:
            told.append(SagaWaiting(step_execution.step_id, child_ended_signal(child), None))
            change = StatusChange("waiting", None, child_ended_signal(child), self._cancellation.deadline)
        try:
            start = history.execution_log.child_start_request(definition.saga_type, given, child, history.cause())
        except Unstorable as wrong:
            await self._outcomes.suspend_stuck(step_execution, f"{step_execution.step.name} cannot be started: {wrong}")
        return history.step_commit(
            *told, step=step_execution.step.name, change=change, suspend=suspend, start=start, settled=suspend
        )

    async def _answer(self, step_execution: StepExecution, child: str, told: Any) -> Any:
        over = WaitEnded(step_execution.step_id, child_ended_signal(child), "signal")
        if told["status"] == "completed":
            return await self._outcomes.complete_child(step_execution, told["result"], over)
        return await self._outcomes.record_refusal(step_execution, _refusal(step_execution.call, told), 1, over)

    async def _suspended(self, step_execution: StepExecution, child: str) -> StepCommit | None:
        """The commit that suspends the saga until a child has ended, and asks for its compensation if the saga is to be
        compensated; None after a short wait for the deadline."""
        history, step_id, execution_log = self._history, step_execution.step_id, self._history.execution_log
        recalled = child in self._history.current.requested
        wanted = None if recalled else self._cancellation.due_compensation_start()
        due = None if recalled or wanted else self._cancellation.deadline
        if due and step_id in self._history.current.waits and due - execution_log.now() < SOON:
            await execution_log.wait_until(due)
            return None
        told: list[object] = (
            [] if step_id in self._history.current.waits else [SagaWaiting(step_id, child_ended_signal(child), None)]
        )
        recall = None
        if wanted:
            told.append(ChildCompensationRequested(step_id, child, wanted.reason))
            recall = self._recall(child, wanted.reason)
        change = StatusChange("waiting", None, child_ended_signal(child), due)
        return history.step_commit(*told, change=change, suspend=True, recall=recall)

    def _recall(self, child: str, reason: str) -> CompensateChild:
        told = f"its parent {self._history.execution_log.identity.id} turns back: {reason}"
        cause = self._history.cause()
        return CompensateChild(
            child, told, new_amends_event(saga_histories.stream(child), CancelRequested(told), cause)
        )


def _refusal(call: StepCall[Any], told: Any) -> Refusal:
    """The refusal for which a child was compensated, as its parent sees it."""
    name, child, parent = call.step.name, call.declared.child, call.saga
    modules = [definition.module for definition in (getattr(parent, "definition", None), child) if definition]
    if told.get("error"):
        try:
            return load_refusal(load(told["error"], Problem), *modules)
        except (UnknownRefusal, ValidationError):
            return ChildFailed(name, str(told.get("reason", "")))
    return ChildFailed(name, str(told.get("reason", "")))
