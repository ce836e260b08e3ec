"""Simulates a saga in memory, in milliseconds: time passes at once, crashes come where you want them, ports are fakes.

    simulation = Simulation()
    result = await simulation.run(PlaceOrder(FakeStock(), FakePayments(), FakeCouriers()), request)
    assert result.state.status == "completed"

`simulation.crash(at=3)` lets the executor die around its third commit; `run` then begins the next execution, as
recovery would.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from pydantic import JsonValue

from domain.amends.aggregate import Aggregate
from domain.amends.errors import DefinitionError
from domain.amends.event import Cause
from domain.amends.projection import Projection
from workflows.amends.engine.execution import Execution
from workflows.amends.engine.steps.argument_shapes import NotedShapes
from workflows.amends.executor.execution_log import ProcessContext
from workflows.amends.history import (
    SagaEvent,
    SagaState,
    Status,
)
from workflows.amends.history.events.children import ENDED
from workflows.amends.history.replay_state import Checkpoint
from workflows.amends.ports.event_store import load_event_json
from workflows.amends.ports.execution_log import StartRequest, Suspended, TurnedBack
from workflows.amends.providers import Providers
from workflows.amends.saga import Saga
from workflows.amends.simulation.crashing import Crash, CrashingSagas
from workflows.amends.simulation.execution_log import EXECUTOR, MemoryExecutionLog
from workflows.amends.simulation.memory.rows import MemorySagaRow
from workflows.amends.simulation.people import ID as ID
from workflows.amends.simulation.people import People, at_once
from workflows.amends.simulation.read_models.current_rows import current_rows
from workflows.amends.simulation.read_models.store import MemoryProjections
from workflows.amends.start_request import start_request
from workflows.amends.values.codec import copy_json, load, stored_value
from workflows.amends.values.limits import Limits

R = TypeVar("R")
S = TypeVar("S")
E = TypeVar("E")
T = TypeVar("T")
In = TypeVar("In")


@dataclass(frozen=True)
class SimulationResult:
    """How a saga stands after it was run, and in how many executions it came there."""

    state: SagaState
    result: Any
    executions: int


@dataclass
class Simulation(People):
    """A store in memory, and a clock that nobody waits for. `sagas` are those that may be started as children.

    `deadline` counts instead of those that the sagas declare. `tells` says whether an execution is told of a cancel
    while it runs, as by its own server; of another server's it learns when it suspends.
    """

    sagas: Sequence[Saga[Any, Any]] = ()
    deadline: datetime | None = None
    limits: Limits = Limits()
    tells: bool = True
    store: CrashingSagas = field(default_factory=CrashingSagas)
    _read_models: MemoryProjections = field(init=False)
    _process: ProcessContext = field(init=False)
    shapes: NotedShapes = field(default_factory=NotedShapes)
    _executions: Counter[str] = field(default_factory=Counter)
    _asked: Counter[tuple[str, datetime | None]] = field(default_factory=Counter)
    """How often a provider was asked for a saga whether it is back, in one wait."""

    def __post_init__(self) -> None:
        self._read_models = MemoryProjections(self.store.events, self.store.clock)
        self._process = ProcessContext(
            self.store, self._child_start_request, asyncio.Event(), _nothing, self.limits, Providers(), self.shapes
        )

    @property
    def clock(self) -> datetime:
        """What time it is."""
        return self.store.clock.now

    @clock.setter
    def clock(self, now: datetime) -> None:
        self.store.clock.now = now

    @property
    def status(self) -> dict[str, Status]:
        """The status of each saga, by its id."""
        return {id: row.status for id, row in self.store.rows.items()}

    def checkpoints(self, id: str = ID) -> list[Checkpoint]:
        """What is recorded of a saga's steps, in the order of their numbers."""
        return [known for _, known in sorted(self.store.rows[id].checkpoints.items())]

    def history(self, id: str = ID) -> list[tuple[UUID, SagaEvent]]:
        """The saga's own events with their ids, oldest first."""
        return list(self.store.saga_history(id).events)

    def state(self, id: str = ID) -> SagaState:
        """What its events add up to."""
        return self.store.saga_history(id).fold.state()

    def events(self, aggregate: Aggregate[S, E], key: str) -> list[E]:
        """The events of one aggregate, oldest first."""
        kept = self.store.events.stream_events(aggregate.stream(key))
        return [load_event_json(aggregate.vocabulary, stored.type, stored.data_json) for stored in kept]

    async def rows(self, projection: Projection[R, E]) -> dict[str, R]:
        """The rows of a read model after all that happened so far, by key, as a server's runner makes them.

        Raises AssertionError for an event that the projection cannot apply: a server would set its key aside.
        """
        return await current_rows(self._read_models, projection)

    # -- what happens to a saga from outside

    def crash(self, at: int, landed: bool = False) -> None:
        """Die at the commit with this number, counted from 1: before it, or, if `landed`, just after it."""
        self.store.crash(at, landed)

    def start(self, saga: Saga[In, Any], request: In, id: str = ID) -> None:
        """Start the saga without running it yet: it can be sent something first."""
        what = f"the input of {saga.definition.name}"
        input = stored_value(request, saga.definition.input, what, self.limits.value)
        start = start_request(saga, input.value, input.data, id, Cause(), self.clock)
        if self.deadline:
            start = replace(start, deadline=self.deadline - self.clock)
        at_once(self.store.start(start))

    # -- running it

    async def run(
        self,
        saga: Saga[In, Any] | Callable[[], Saga[In, Any]],
        request: In,
        id: str = ID,
        signals: Sequence[object] = (),
    ) -> SimulationResult:
        """Start the saga, or go on with it and its children, until it is finished or suspended for good.

        After a crash the next execution begins. When one waits it is sent the next of `signals`; when there is none its
        time comes at once, if it has one. One that waits at a brake stays there. A function in place of the saga is
        asked for one before each execution, as after a deployment of other code.
        """
        result, left, before = None, list(signals), self._executions[id]
        if id in self.store.rows and not self.store.rows[id].is_held:
            self.store.rows[id].workflow.enqueue(self.clock)
        while True:
            living = saga if isinstance(saga, Saga) else saga()
            if id not in self.store.rows:
                self.start(living, request, id)
            family = [id, *(child for child, row in self.store.rows.items() if row.parent and child != id)]
            if runs := next((each for each in family if self.store.rows[each].is_queued), None):
                ended = await self._execute(living if runs == id else self._child(runs), runs)
                result = ended if runs == id else result
            elif not any(self._goes_on(each, left) for each in family):
                return SimulationResult(self.state(id), result, self._executions[id] - before)

    async def _execute(self, saga: Saga[Any, Any], id: str) -> Any:
        self._executions[id] += 1
        self.shapes.note(saga.definition)
        self.store.is_dead = False
        owner = f"execution {self._executions[id]}"
        self.store.assign_to_executor(self.store.rows[id], EXECUTOR, owner)
        execution_log = MemoryExecutionLog(id, owner, self.store, self._process, self.tells)
        with suppress(Suspended):
            return await self._ended(Execution(saga, execution_log), id, owner)
        return None

    async def _ended(self, execution: Execution, id: str, owner: str) -> Any:
        """The result of an execution that ends the saga; its outcome is written down as DBOS does it."""
        try:
            result = await execution.run(copy_json(self.state(id).input))
        except TurnedBack:
            self.store.outcome(id, owner, "ERROR")
        except Crash:
            self.store.rows[id].workflow.enqueue(self.clock)
        else:
            self.store.outcome(id, owner, "SUCCESS")
            return result
        return None

    def _child_start_request(self, saga_type: str, given: JsonValue, id: str, cause: Cause) -> StartRequest:
        saga = next((saga for saga in self.sagas if saga.definition.saga_type == saga_type), None)
        if saga is None:
            raise DefinitionError(f"child {saga_type}", "is given to the simulation too: Simulation(sagas=[…])")
        request = load(given, saga.definition.input)
        return start_request(saga, request, given, id, cause, self.clock, cause.workflow_id)

    def _child(self, id: str) -> Saga[Any, Any]:
        name = self.store.rows[id].name
        return next(saga for saga in self.sagas if saga.definition.name == name)

    def _goes_on(self, id: str, signals: list[object]) -> bool:
        """Let a suspended saga receive a signal, or its time come; False if it waits for ever."""
        row = self.store.rows[id]
        if row.awaits_provider:
            self._ask_again(row)
            return True
        if row.has_brake and row.workflow.is_suspended and row.due_at is not None:
            self.store.clock.reach(row.due_at)
            row.clear_wait(self.clock)
            self.store.enqueue(row)
            return True
        if row.status != "waiting":
            return False
        if signals and not (row.waiting_for or "").startswith(ENDED):
            self.signal(signals.pop(0), id)
            return True
        if row.due_at is None:
            return False
        self.store.clock.reach(row.due_at)
        row.clear_wait(self.clock)
        self.store.enqueue(row)
        return True

    def _ask_again(self, row: MemorySagaRow) -> None:
        """Let a saga ask whether its provider is back: after a second, then ever later, and when the wait is over."""
        wait = (row.id, row.provider_since)
        if self.store.saga_history(row.id).replay.cancel is None:
            again = self.clock + timedelta(seconds=2 ** min(self._asked[wait], 16))
            self.store.clock.reach(min(again, row.due_at) if row.due_at else again)
        self._asked[wait] += 1
        row.workflow.enqueue(self.clock)


def _nothing() -> None:
    """Nobody is to be told of what was queued: `run` looks itself."""
