"""Simulates a saga in memory, in milliseconds: time passes at once, crashes come where you want them, ports are fakes.

    simulation = Simulation()
    result = await simulation.run(PlaceOrder(FakeStock(), FakePayments(), FakeCouriers()), request)
    assert result.state.status == "completed"

`simulation.crash(at=3)` lets the executor die around its third commit; `run` then begins the next execution, as
recovery would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from pydantic import JsonValue

from domain.amends.aggregate import Aggregate
from domain.amends.errors import StaleVersion
from domain.amends.event import Cause
from domain.amends.expected import exact
from workflows.amends.engine.children import ended, undone
from workflows.amends.engine.execution import Execution
from workflows.amends.history import (
    FINISHED,
    Act,
    CancelRequested,
    ChildRecalled,
    OperatorActed,
    Problem,
    SagaCompleted,
    SagaEvent,
    SagaFold,
    SagaStarted,
    SagaState,
    SagaStuck,
    SignalReceived,
    Status,
    saga_histories,
)
from workflows.amends.history.replay_state import Checkpoint
from workflows.amends.ports.event_store import StoredEvent, read_event, record_own
from workflows.amends.ports.execution_log import (
    Committed,
    CompensateChild,
    Stale,
    Start,
    StepCommit,
    Suspended,
    Taken,
    TurnedBack,
)
from workflows.amends.saga import Saga
from workflows.amends.simulation.execution_log import Awaited, MemoryExecutionLog
from workflows.amends.simulation.memory_events import MemoryEvents
from workflows.amends.start_request import starting
from workflows.amends.values.codec import copied, dump, kept
from workflows.amends.values.limits import Limits

S = TypeVar("S")
E = TypeVar("E")


class Crash(BaseException):
    """The executor dies here."""


@dataclass(frozen=True)
class SimulationResult:
    """How a saga stands after it was played, and what happened to it on the way."""

    state: SagaState
    result: Any
    lives: int


@dataclass
class _Known:
    """What was read of a saga's story so far: each of its events is read once."""

    told: list[tuple[UUID, SagaEvent]] = field(default_factory=list)
    telling: SagaFold = field(default_factory=SagaFold)
    cancel: str | None = None

    def read(self, stored: StoredEvent) -> None:
        event = read_event(saga_histories.vocabulary, stored.type, stored.data_json)
        self.told.append((stored.id, event))
        self.telling.tell(event, stored.recorded_at)
        if isinstance(event, CancelRequested):
            self.cancel = self.cancel or event.reason


@dataclass
class Simulation:
    """A store in memory, and a clock that nobody waits for. `sagas` are those that may be started as children."""

    clock: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    commits: int = 0
    status: dict[str, Status] = field(default_factory=dict)
    checkpoints: dict[str, dict[int, Checkpoint]] = field(default_factory=dict)
    sagas: Sequence[Saga[Any, Any]] = ()
    store: MemoryEvents = field(init=False)
    lives: dict[str, int] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    deadline: datetime | None = None
    limits: Limits = Limits()
    tells: bool = True
    """Whether a life is told of a cancel while it runs, as by its own server; another server's is found by parking."""
    awaited: dict[str, Awaited] = field(default_factory=dict)
    """The providers that sagas wait for, by the sagas' ids."""
    settled: dict[str, int] = field(default_factory=dict)
    """Up to which of its lives a saga has left nothing behind that its record does not tell."""
    _crash: tuple[int, bool] | None = None
    _cancel: tuple[int, str] | None = None
    _dead: bool = False
    _ready: set[str] = field(default_factory=set)
    _known: dict[str, _Known] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = MemoryEvents(lambda: self.clock)

    def crash(self, at: int, landed: bool = False) -> None:
        """Die at the commit with this number, counted from 1: before it, or, if `landed`, just after it."""
        self._crash = (self.commits + at, landed)

    def cancel(self, reason: str, at: int = 0, id: str = "rehearsal") -> None:
        """Want the saga cancelled: now, or just after the commit with this number, counted from 1."""
        self._cancel = (self.commits + at, reason) if at else None
        if not at:
            self.store.write([record_own(saga_histories.stream(id), CancelRequested(reason), Cause())])

    async def run(
        self,
        saga: Saga[Any, Any] | Callable[[], Saga[Any, Any]],
        request: Any,
        id: str = "rehearsal",
        signals: Sequence[object] = (),
    ) -> SimulationResult:
        """Start the saga, or go on with it and its children, until it is finished or rests; a crash begins a new life.

        When one waits it is sent the next of `signals`; when there is none left its time comes at once, if it has one.
        A function in place of the saga is asked for one in each life, as after a deployment of other code.
        """
        result, left, before = None, list(signals), dict(self.lives)
        self._ready.add(id)
        while True:
            living = saga if isinstance(saga, Saga) else saga()
            if id not in self.status:
                self.start(living, request, id)
            family = [id, *(child for child in self.parents if child != id)]
            if runs := next((each for each in family if each in self._ready), None):
                known = living if runs == id else self._player(runs)
                ended = await self._live(known, runs)
                result = ended if runs == id else result
            elif not any(self._goes_on(each, left) for each in family):
                return SimulationResult(self.state(id), result, self.lives[id] - before.get(id, 0))

    async def _live(self, saga: Saga[Any, Any], id: str) -> Any:
        self.lives[id], self._dead = self.lives.get(id, 0) + 1, False
        self._ready.discard(id)
        try:
            with suppress(TurnedBack, Suspended):
                return await Execution(saga, MemoryExecutionLog(self, id)).run(copied(self.state(id).input))
        except Crash:
            self._ready.add(id)
        return None

    def _player(self, id: str) -> Saga[Any, Any]:
        name = next(event.name for _, event in self.told(id) if isinstance(event, SagaStarted))
        return next(saga for saga in self.sagas if saga.definition.name == name)

    def signal(self, signal: object, id: str = "rehearsal") -> None:
        """Tell the saga something, early or late."""
        name: str = getattr(signal, "__signal__")  # noqa: B009 (set by the decorator)
        told = SignalReceived(name, kept(signal, type(signal), f"signal {name}", self.limits.value).data)
        self.store.write([record_own(saga_histories.stream(id), told, Cause())])

    def _goes_on(self, id: str, signals: list[object]) -> bool:
        """Let a saga that waits be told something, or its time come; False if it waits for ever."""
        if id in self.awaited and self.status[id] in ("running", "compensating"):
            self.clock = self.clock if self.cancelled(id) else max(self.clock, self.awaited[id].again(self.clock))
            self._ready.add(id)
            return True
        if self.status[id] != "waiting":
            return False
        told, state = [event for _, event in self.told(id)], self.state(id)
        until = min((each for each in (state.waiting_until, self.deadline) if each), default=None)
        if any(isinstance(event, CancelRequested) for event in told):
            until = self.clock
        if (state.waiting_for or "").startswith("child "):
            signals = []
            if any(isinstance(event, ChildRecalled) for event in told):
                return False
        if signals:
            self.signal(signals.pop(0), id)
        elif until:
            self.clock = max(self.clock, until)
        else:
            return False
        self._wake(id)
        return True

    def _wake(self, id: str) -> None:
        self._ready.add(id)
        self.status[id] = "compensating" if self.state(id).turned_back else "running"

    def act(self, act: Act, reason: str = "rehearsed", result: Any = None, id: str = "rehearsal") -> None:
        """Decide about a stuck saga as a person would; `play` then goes on with it."""
        stuck = next(event for _, event in reversed(self.told(id)) if isinstance(event, SagaStuck))
        told = OperatorActed(act, reason, stuck.slot, stuck.compensation or stuck.step, result)
        self.store.write([record_own(saga_histories.stream(id), told, Cause())])
        self._wake(id)

    def events(self, aggregate: Aggregate[S, E], key: str) -> list[E]:
        """The events of one aggregate, oldest first."""
        kept = self.store.of(aggregate.stream(key))
        return [read_event(aggregate.vocabulary, stored.type, stored.data_json) for stored in kept]

    def told(self, id: str = "rehearsal") -> list[tuple[UUID, SagaEvent]]:
        """The saga's own events with their ids, oldest first."""
        return list(self._read(id).told)

    def state(self, id: str = "rehearsal") -> SagaState:
        return self._read(id).telling.state()

    def cancelled(self, id: str) -> str | None:
        """Why somebody wants the saga cancelled; None if nobody does."""
        return self._read(id).cancel

    def _read(self, id: str) -> _Known:
        known = self._known.setdefault(id, _Known())
        for stored in self.store.of(saga_histories.stream(id))[len(known.told) :]:
            known.read(stored)
        return known

    def start(self, saga: Saga[Any, Any], request: Any, id: str = "rehearsal") -> None:
        """Start the saga without playing it yet: it can be told something first."""
        what = f"the input of {saga.definition.name}"
        given = kept(request, saga.definition.input, what, self.limits.value).data
        self._begin(starting(saga, given, id, Cause(), self.clock))

    def _begin(self, start: Start) -> None:
        self.store.write([start.event])
        self.status[start.id], self.checkpoints[start.id] = "running", {}
        self._ready.add(start.id)
        if start.parent:
            self.parents[start.id] = start.parent

    def commit(self, id: str, step_commit: StepCommit) -> Committed | Stale:
        """Write an entry whole or not at all; dies where `crash` said."""
        if self._dead:
            raise Crash
        self.commits += 1
        at, landed = self._crash or (0, False)
        self._dead = self.commits == at
        if self._dead and not landed:
            raise Crash
        if step_commit.start and step_commit.start.id in self.status:
            raise Taken
        try:
            self.store.write(
                step_commit.events, {stream: exact(version) for stream, version in step_commit.expected.items()}
            )
        except StaleVersion as stale:
            return Stale(stale.stream, stale.expected, stale.actual)
        self._write(id, step_commit)
        if self._cancel and self.commits == self._cancel[0]:
            self.cancel(self._cancel[1])
        if self._dead:
            raise Crash
        return Committed()

    def _write(self, id: str, step_commit: StepCommit) -> None:
        if step_commit.checkpoint:
            assert step_commit.checkpoint.step_id not in self.checkpoints[id], "two steps under one number"
            self.checkpoints[id][step_commit.checkpoint.step_id] = step_commit.checkpoint
        if step_commit.change:
            self.status[id] = step_commit.change.status
            Awaited.note(self.awaited, id, step_commit.change)
        if step_commit.settled:
            self.settled[id] = self.lives[id]
        if step_commit.start:
            self._begin(step_commit.start)
        if step_commit.recall:
            self._recall(step_commit.recall)
        if step_commit.change and step_commit.change.status in FINISHED and id in self.parents:
            self._tell_parent(id)

    def _recall(self, recall: CompensateChild) -> None:
        child = recall.saga
        self.store.write([recall.event])
        if (self.status[child] in ("completed", "waiting", "stuck") or child in self.awaited) and not self.state(
            child
        ).turned_back:
            self._wake(child)

    def _tell_parent(self, id: str) -> None:
        """Tell how a child ended, and let its parent go on if it waits for that."""
        parent, state, told = self.parents[id], self.state(id), [event for _, event in self.told(id)]
        again = state.status == "compensated" and any(isinstance(event, SagaCompleted) for event in told)
        error: JsonValue = dump(state.error, Problem | None)
        payload: JsonValue = {"status": state.status, "result": state.result, "reason": state.reason, "error": error}
        name = undone(id) if again else ended(id)
        self.store.write([record_own(saga_histories.stream(parent), SignalReceived(name, payload), Cause())])
        if self.status[parent] in ("waiting", "compensating"):
            self._wake(parent)
