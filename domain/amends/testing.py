"""The words for testing a business without a database: given these events, when this is decided, then that happens.

    given(accounts, opened, deposited).when(withdraw, 50).then(MoneyWithdrawn("a", 50))
    given(accounts, opened).when(withdraw, 50).refused(NotEnoughMoney)
    order_board(recorded("order-1", placed, confirmed)) == {"1": OrderRow(…)}

After Emmett's specifications (github.com/event-driven-io/emmett).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from domain.amends.aggregate import Aggregate
from domain.amends.errors import Refusal
from domain.amends.projection import Recorded

S = TypeVar("S")
E = TypeVar("E")
P = ParamSpec("P")
R = TypeVar("R", bound=Refusal)


@dataclass(frozen=True)
class DecisionResult(Generic[E]):
    """What came of a decision: events, or an error."""

    events: tuple[E, ...]
    error: Exception | None = None

    def then(self, *events: E) -> None:
        """Exactly these events; none for a decision that finds things already so."""
        if self.error is not None:
            raise AssertionError(f"expected {list(events)}, but it was refused: {self.error!r}") from self.error
        assert self.events == events, f"expected {list(events)}, but it decided {list(self.events)}"

    def refused(self, refusal: type[R], **facts: object) -> R:
        """A refusal of this class, with these facts; returned for a closer look."""
        if self.error is None:
            raise AssertionError(f"expected {refusal.__name__}, but it decided {list(self.events)}")
        if not isinstance(self.error, refusal):
            raise AssertionError(f"expected {refusal.__name__}, but got {self.error!r}") from self.error
        found = {name: getattr(self.error, name) for name in facts}
        assert found == facts, f"expected the facts {facts}, but it says {found}"
        return self.error


@dataclass(frozen=True)
class Given(Generic[S, E]):
    """An aggregate with a history."""

    aggregate: Aggregate[S, E]
    events: tuple[E, ...]

    @property
    def state(self) -> S:
        """What the history adds up to."""
        return self.aggregate.fold(self.events)

    def when(
        self, decision: Callable[Concatenate[S, P], Iterable[E]], /, *args: P.args, **kwargs: P.kwargs
    ) -> DecisionResult[E]:
        """Decide. A Refusal is an outcome; any other error is a bug and is raised."""
        try:
            return DecisionResult(tuple(self.aggregate.require_own_events(decision(self.state, *args, **kwargs))))
        except Refusal as refusal:
            return DecisionResult((), refusal)


BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def recorded_events(
    stream: str, *events: E, after: int = 0, at: datetime = BEGAN, of: Aggregate[Any, Any] | None = None
) -> list[Recorded[E]]:
    """These events as they would stand in a stream, after `after` others, one a second from `at` on.

    `of` is whose stream it is, where its category has a hyphen.
    """
    key = (of and of.key(stream)) or stream.partition("-")[2]
    return [
        Recorded(event, stream, key, version, at + timedelta(seconds=version - 1))
        for version, event in enumerate(events, start=after + 1)
    ]


def given(aggregate: Aggregate[S, E], *events: E) -> Given[S, E]:
    """An aggregate to which this has happened."""
    return Given(aggregate, events)
