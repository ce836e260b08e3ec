"""Folds of all kinds: functions, methods, lambdas, closures, partials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from domain.amends.aggregate import Aggregate
from domain.amends.event import event


@event("counted")
class Counted:
    pass


def evolve(state: int, event: Counted) -> int:
    return state + 1


def by(number: object) -> Callable[[int, Counted], int]:
    def evolve(state: int, event: Counted) -> int:
        return state + int(str(number))

    return evolve


@dataclass(frozen=True)
class Counter:
    number: int

    def evolve(self, state: int, event: Counted) -> int:
        return state + self.number


@event("seen")
class Seen:
    pass


class Many(int):
    """A number that comes back from JSON as another type."""


@dataclass(frozen=True)
class Odd:
    """It never comes back as it went in."""

    count: int


def seeing(state: Odd, event: Seen) -> Odd:
    return Odd(Many(state.count + 1))


def annotated(function: Any) -> Any:
    function.__annotations__ = {"state": int, "event": Counted, "return": int}
    return function


def several(state: int, events: Any, plus: int = 0) -> int:
    return state + len(list(events)) + plus


FOLDS: list[Callable[[], Aggregate[int, Any]]] = [
    lambda: Aggregate("count", 0, evolve),
    lambda: Aggregate("count", 1, evolve),
    lambda: Aggregate("count", 0, by(1)),
    lambda: Aggregate("count", 0, by(2)),
    lambda: Aggregate("count", 0, by("2")),
    lambda: Aggregate("count", 0, Counter(1).evolve),
    lambda: Aggregate("count", 0, Counter(2).evolve),
    lambda: Aggregate("count", 0, annotated(lambda state, event: state + 1)),
    lambda: Aggregate("count", 0, annotated(lambda state, event: state + 2)),
    lambda: Aggregate("count", 0, evolve, folding=several),
    lambda: Aggregate("count", 0, evolve, folding=partial(several, plus=1)),
    lambda: Aggregate("count", 0, evolve, folding=partial(several, plus=2)),
]
