"""What operations are drawn from: a seeded random, and what stands in the store in memory by then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from random import Random
from typing import Any, TypeVar
from uuid import UUID

from domain.amends.event import Cause
from tests.amends.contracts.differential.sides import Side
from workflows.amends.causes.failure_cause import CauseKind, FailureCause
from workflows.amends.history import SagaStarted, saga_histories
from workflows.amends.ports.event_store import NewEvent, StoredAnswer, new_amends_event
from workflows.amends.ports.execution_log import StartRequest
from workflows.amends.simulation.memory.rows import MemorySagaRow
from workflows.amends.simulation.memory.sagas import MemorySagas

T = TypeVar("T")

TYPES = (("place-order", 1), ("place-order", 2), ("book-trip", 1))
PROVIDERS = ("stock", "payments")
SIGNALS = ("paid", "shipped", "timer")
STEPS = ("charge", "ship", "notify")
REMEMBERED = 40
"""So many of the last operations may be sent again."""


@dataclass(frozen=True)
class Operation:
    """One operation with all that it is given; it can be carried out on any side, whatever came before it."""

    name: str
    told: str
    call: Callable[[Side], Awaitable[Any]]
    method: str = ""

    @classmethod
    def of(cls, name: str, method: str, *given: Any) -> Operation:
        """A call of a side's method, such as `sagas.claim`."""
        return cls(name, f"{method}{given!r}", lambda side: attrgetter(method)(side)(*given), method)


@dataclass
class Draw:
    """Draws parts of operations. What it draws depends on its seed alone."""

    random: Random
    store: MemorySagas
    drawn: list[UUID] = field(default_factory=list)
    appended: list[NewEvent] = field(default_factory=list)
    sent: list[Operation] = field(default_factory=list)
    """Operations that may be sent again."""
    _count: int = 0

    @property
    def now(self) -> datetime:
        return self.store.clock.now

    def number(self) -> int:
        """Another number each time."""
        self._count += 1
        return self._count

    def once_in(self, times: int) -> bool:
        return self.random.randrange(times) == 0

    def one_of(self, some: Iterable[T]) -> T | None:
        """One of these, if there is any."""
        found = list(some)
        return self.random.choice(found) if found else None

    def some(self, of: Sequence[T]) -> list[T]:
        """Some of these, in their order."""
        return [each for each in of if self.once_in(2)]

    def id(self) -> UUID:
        self.drawn.append(UUID(int=self.random.getrandbits(128), version=4))
        return self.drawn[-1]

    def value(self) -> Any:
        """Something as it stands in an event's data."""
        return self.random.choice([None, 0, -7, 1.5, True, "Grüße", "", [], {"a": [1, {"b": None}]}, 2**40, "2026"])

    def cause(self) -> Cause:
        """Who did it, and why, with any part of it missing."""
        parts = ("correlation_id", "causation_id", "actor", "workflow_id", "step", "reason")
        return Cause(**{part: f"{part} {self.random.randrange(3)}" for part in parts if self.once_in(3)})

    def event(self, saga: str, event: object) -> NewEvent:
        """An event of a saga's history."""
        return new_amends_event(saga_histories.stream(saga), event, self.cause(), self.id())

    def saga_type(self) -> tuple[str, int]:
        return self.random.choice(TYPES)

    def types(self) -> list[str]:
        """Types of sagas that an executor has code for: mostly all."""
        known = [f"{name}:{version}" for name, version in TYPES]
        return known if not self.once_in(4) else self.some(known)

    def row(self, which: Callable[[MemorySagaRow], bool] = lambda _: True) -> MemorySagaRow | None:
        """A saga of which this is true; the newest ones are drawn more often."""
        found = [row for row in self.store.rows.values() if which(row)]
        return self.one_of(found[-8:] if self.random.random() < 0.8 else found)

    def saga(self, which: Callable[[MemorySagaRow], bool] = lambda _: True) -> str:
        """The id of such a saga, sometimes of any or of none."""
        row = self.row(which) if not self.once_in(8) else self.row()
        return row.id if row and not self.once_in(30) else "s-0"

    def executor(self, alive: bool = True) -> str:
        """An executor, mostly one that may claim."""
        known = list(self.store.executors)[-12:]
        living = [id for id in known if self.store.is_alive(id)]
        return self.one_of(living if alive and living and not self.once_in(10) else known) or "e-0"

    def owner(self) -> str:
        """A new token."""
        return f"owner {self.number()}"

    def answer(self) -> StoredAnswer | None:
        """What a request with one of a few keys is answered, or none."""
        if not self.once_in(3):
            return None
        key = f"key {self.random.randrange(20)}"
        return StoredAnswer(key, f"digest {self.random.randrange(3)}", {"said": self.value(), "version": 1})

    def start(self, id: str, **more: Any) -> StartRequest:
        """A saga to be started."""
        name, version = self.saga_type()
        request, reference = self.random.choice(["r", "r", "r", "other"]), self.random.choice(["", "4711"])
        event = self.event(id, SagaStarted(name, version, reference, id, {}))
        return StartRequest(id, name, version, reference, f"story {id}", request, f'{{"of": "{id}"}}', event, **more)

    def failure_cause(self, row: MemorySagaRow, kind: CauseKind, provider: str | None = None) -> FailureCause | None:
        """The cause of a suspension or a compensation, mostly a known one; none from a server of the version before."""
        if self.once_in(4):
            return None
        error = f"error {self.random.randrange(3) if self.once_in(2) else self.number()}"
        step = self.random.choice([None, *STEPS])
        return FailureCause(kind, row.name, row.version, step, provider, None if self.once_in(5) else error)

    def remember(self, operation: Operation) -> Operation:
        """The same operation, which may be sent again later."""
        self.sent = [*self.sent[1 - REMEMBERED :], operation]
        return operation
