"""Plays a saga in memory, in milliseconds: time passes at once, crashes come where you want them, ports are fakes.

    stage = Stage()
    played = await stage.play(PlaceOrder(FakeStock(), FakePayments(), FakeCouriers()), request)
    assert played.story.status == "completed"

`stage.crash(at=3)` lets the executor die around its third commit; `play` then begins the next life, as recovery would.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from domain.aggregate import Aggregate
from domain.errors import StaleVersion
from domain.event import Cause
from domain.expected import exact
from workflows.codec import dump
from workflows.engine.execution import Execution
from workflows.events import read_event, record
from workflows.memory import MemoryEvents
from workflows.ports import (
    Checkpoint,
    Committed,
    Entry,
    Identity,
    Parked,
    Recording,
    Stale,
    Unit,
)
from workflows.problem import TurnedBack
from workflows.recording import recording_of
from workflows.saga import Saga
from workflows.story import (
    Act,
    CancelRequested,
    OperatorActed,
    SagaStarted,
    SagaStuck,
    SignalReceived,
    Status,
    Story,
    Told,
    stories,
    tell,
)

S = TypeVar("S")
E = TypeVar("E")


class Crash(BaseException):
    """The executor dies here."""


@dataclass(frozen=True)
class Played:
    """How a saga stands after it was played, and what happened to it on the way."""

    story: Story
    result: Any
    lives: int


@dataclass
class Stage:
    """A store in memory, and a clock that nobody waits for."""

    clock: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    commits: int = 0
    status: dict[str, Status] = field(default_factory=dict)
    checkpoints: dict[str, dict[int, Checkpoint]] = field(default_factory=dict)
    store: MemoryEvents = field(init=False)
    lives: int = 0
    _crash: tuple[int, bool] | None = None
    _cancel: tuple[int, str] | None = None
    deadline: datetime | None = None
    tells: bool = True
    """Whether a life is told of a cancel while it runs, as by its own server; another server's is found by parking."""
    _dead: bool = False

    def __post_init__(self) -> None:
        self.store = MemoryEvents(lambda: self.clock)

    def crash(self, at: int, landed: bool = False) -> None:
        """Die at the commit with this number, counted from 1: before it, or, if `landed`, just after it."""
        self._crash = (self.commits + at, landed)

    def cancel(self, reason: str, at: int = 0, id: str = "rehearsal") -> None:
        """Want the saga cancelled: now, or just after the commit with this number, counted from 1."""
        self._cancel = (self.commits + at, reason) if at else None
        if not at:
            self.store.write([record(stories.stream(id), CancelRequested(reason), Cause())])

    async def play(
        self,
        saga: Saga[Any, Any] | Callable[[], Saga[Any, Any]],
        request: Any,
        id: str = "rehearsal",
        signals: Sequence[object] = (),
    ) -> Played:
        """Start the saga, or go on with it, until it is finished or rests; each crash begins a new life.

        When it waits it is sent the next of `signals`; when there is none left its time comes at once, if it has one. A
        function in place of the saga is asked for one in each life, as after a deployment of other code.
        """
        result, left = None, list(signals)
        self.lives = 0
        while True:
            self.lives, self._dead = self.lives + 1, False
            living = saga if isinstance(saga, Saga) else saga()
            if id not in self.status:
                self.start(living, request, id)
            journal = MemoryJournal(self, id)
            try:
                with suppress(TurnedBack, Parked):
                    result = await Execution(living, journal).run(dump(request, living.definition.input))
            except Crash:
                continue
            if self.status[id] == "waiting" and self._goes_on(id, left):
                continue
            return Played(self.story(id), result, self.lives)

    def signal(self, signal: object, id: str = "rehearsal") -> None:
        """Tell the saga something, early or late."""
        name: str = getattr(signal, "__signal__")  # noqa: B009 (set by the decorator)
        told = SignalReceived(name, dump(signal, type(signal)))
        self.store.write([record(stories.stream(id), told, Cause())])

    def _goes_on(self, id: str, signals: list[object]) -> bool:
        """Let a saga that waits be told something, or its time come; False if it waits for ever."""
        until = min((each for each in (self.story(id).waiting_until, self.deadline) if each), default=None)
        if any(isinstance(event, CancelRequested) for _, event in self.told(id)):
            until = self.clock
        if signals:
            self.signal(signals.pop(0), id)
        elif until:
            self.clock = max(self.clock, until)
        else:
            return False
        self.status[id] = "running"
        return True

    def act(self, act: Act, reason: str = "rehearsed", result: Any = None, id: str = "rehearsal") -> None:
        """Decide about a stuck saga as a person would; `play` then goes on with it."""
        stuck = next(event for _, event in reversed(self.told(id)) if isinstance(event, SagaStuck))
        told = OperatorActed(act, reason, stuck.slot, stuck.compensation or stuck.step, result)
        self.store.write([record(stories.stream(id), told, Cause())])
        self.status[id] = "running"

    def events(self, aggregate: Aggregate[S, E], key: str) -> list[E]:
        """The events of one aggregate, oldest first."""
        kept = self.store.of(aggregate.stream(key))
        return [read_event(aggregate.vocabulary, stored.type, stored.data_json) for stored in kept]

    def told(self, id: str = "rehearsal") -> list[tuple[UUID, Told]]:
        """The saga's own events with their ids, oldest first."""
        kept = self.store.of(stories.stream(id))
        return list(zip((stored.id for stored in kept), self.events(stories, id), strict=True))

    def story(self, id: str = "rehearsal") -> Story:
        kept = self.store.of(stories.stream(id))
        return tell(zip((stored.recorded_at for stored in kept), self.events(stories, id), strict=True))

    def start(self, saga: Saga[Any, Any], request: Any, id: str = "rehearsal") -> None:
        """Start the saga without playing it yet: it can be told something first."""
        definition = saga.definition
        reference, data = saga.reference(request), dump(request, definition.input)
        told = SagaStarted(definition.name, definition.version, reference, id, data)
        self.store.write([record(stories.stream(id), told, Cause())])
        self.status[id], self.checkpoints[id] = "running", {}

    def commit(self, id: str, entry: Entry) -> Committed | Stale:
        """Write an entry whole or not at all; dies where `crash` said."""
        if self._dead:
            raise Crash
        self.commits += 1
        at, landed = self._crash or (0, False)
        self._dead = self.commits == at
        if self._dead and not landed:
            raise Crash
        try:
            self.store.write(entry.events, {stream: exact(version) for stream, version in entry.expected.items()})
        except StaleVersion as stale:
            return Stale(stale.stream, stale.expected, stale.actual)
        if entry.checkpoint:
            assert entry.checkpoint.slot not in self.checkpoints[id], "two steps under one number"
            self.checkpoints[id][entry.checkpoint.slot] = entry.checkpoint
        if entry.change:
            self.status[id] = entry.change.status
        if self._cancel and self.commits == self._cancel[0]:
            self.cancel(self._cancel[1], id=id)
        if self._dead:
            raise Crash
        return Committed()


class MemoryJournal:
    """One life of a saga on a stage."""

    def __init__(self, stage: Stage, id: str) -> None:
        self._stage, self._id, self._slot = stage, id, 0
        self.identity = Identity(id, id, Cause(correlation_id=id, workflow_id=id))
        self.recording = self._recorded()
        self._cancel = self.recording.cancel

    def _recorded(self) -> Recording:
        stage, id = self._stage, self._id
        return recording_of(
            stage.checkpoints[id].values(),
            stage.told(id),
            stage.status[id],
            deadline_at=stage.deadline,
            started_at=stage.store.of(stories.stream(id))[0].recorded_at,
            recovered=stage.lives > 1,
        )

    def cancelled(self) -> str | None:
        """A running saga is told at once by its engine; one that parks finds out as it does."""
        if self._stage.tells:
            self._cancel = self._cancel or self._recorded().cancel
        return self._cancel

    async def reload(self) -> Recording:
        again = self._recorded()
        self._cancel = self._cancel or again.cancel
        return again

    def next_slot(self) -> int:
        self._slot += 1
        return self._slot

    def now(self) -> datetime:
        return self._stage.clock

    async def commit(self, entry: Entry) -> Committed | Stale:
        return self._stage.commit(self._id, entry)

    def transaction(self) -> AbstractAsyncContextManager[Unit]:
        return self._unit()

    @asynccontextmanager
    async def _unit(self) -> AsyncIterator[Unit]:
        yield MemoryUnit(self._stage, self._id)

    async def may_call(self) -> None:
        return None

    async def pause(self, until: datetime) -> None:
        self._stage.clock = max(self._stage.clock, until)


@dataclass
class MemoryUnit:
    """One transaction on a stage."""

    stage: Stage
    id: str

    async def load(self, aggregate: Aggregate[S, E], key: str) -> tuple[S, int]:
        events = self.stage.events(aggregate, key)
        return aggregate.fold(events), len(events)

    async def execute(self, sql: str, parameters: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        raise NotImplementedError("a rehearsal has no database: test a step with SQL of its own on Postgres")

    async def commit(self, entry: Entry) -> Committed | Stale:
        self.stage.clock += timedelta(milliseconds=1)
        return self.stage.commit(self.id, entry)
