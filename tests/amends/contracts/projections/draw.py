"""What operations are drawn from: a seeded random, and what stands in the store in memory by then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any
from uuid import UUID

from domain.amends.event import Cause
from tests.amends.contracts.projections import operations
from tests.amends.contracts.projections.operations import Operation
from tests.amends.contracts.projections.shelves import BOARD, KEYS, KNOWN, Emptied, Filled, Moved, broken
from tests.amends.contracts.projections.sides import MemorySide, Side
from workflows.amends.ports.event_store import IdempotencyKey, NewEvent, new_business_event
from workflows.amends.ports.projection_builds import BuildTarget

NAMES = sorted({name for name, _ in KNOWN})
PIECES = [1, 2, 3, 7, 13, 13, 2**62, 2**62 + 1]
"""What is put on a shelf: 13 is what code breaks on; two of the large ones are more than a table takes."""
COLOURS = ["red", "red", "blue", "green", "none", "odd"]
EXECUTORS = [f"e-{number}" for number in range(1, 30)]


@dataclass
class Draw:
    """Draws operations. What it draws depends on its seed alone."""

    random: Random
    side: MemorySide
    ended: set[str] = field(default_factory=set)

    def next(self) -> Operation:
        """The next operation."""
        while True:
            (name, draw, _), *_ = self.random.choices(KINDS, [weight for _, _, weight in KINDS])
            if (given := draw(self)) is not None:
                return Operation(name, _told(given), partial(_call, name, given))

    def executor(self) -> str:
        """An executor that was not ended; mostly one of the first two."""
        living = [each for each in EXECUTORS if each not in self.ended]
        return self.random.choice(living[:3])

    def name(self) -> str:
        return self.random.choice([BOARD, *NAMES])

    def target(self) -> BuildTarget:
        """A build, sometimes one that is not there."""
        found = [each.target for each in self.side.memory.builds_of(None)]
        return self.random.choice(found) if found and self.random.random() < 0.97 else BuildTarget(BOARD, 99)

    def event(self) -> NewEvent:
        what: object = Moved()
        if self.random.random() < 0.75:
            price = Decimal(self.random.choice(["1.50", "0.1", "1E+3", "12345678901234567890.123"]))
            what = Filled(self.random.choice(PIECES), self.random.choice(COLOURS), price)
        elif self.random.random() < 0.7:
            what = Emptied()
        id = UUID(int=self.random.getrandbits(128), version=4)
        return new_business_event(f"shelf-{self.random.choice('abcd')}", what, Cause(actor="bob"), id)

    def token(self) -> str | None:
        """A runner that is there."""
        return self.random.choice(sorted(self.side.runners)) if self.side.runners else None

    def once(self) -> IdempotencyKey | None:
        if self.random.random() < 0.5:
            return None
        return IdempotencyKey(f"key {self.random.randrange(8)}", f"digest {self.random.randrange(2)}")


def _call(name: str, given: tuple[Any, ...], side: Side) -> Any:
    return getattr(operations, name)(side, *given)


def _told(given: tuple[Any, ...]) -> str:
    events = [f"{each.stream}: {each.event!r}" for each in given[0]] if given and isinstance(given[0], list) else given
    return str(events)


def _append(draw: Draw) -> Any:
    return ([draw.event() for _ in range(draw.random.choice([1, 1, 2, 5]))],)


def _begin(draw: Draw) -> Any:
    return draw.target(), draw.executor()


def _step(draw: Draw) -> Any:
    token = draw.token()
    return token and (token, draw.random.choice([1, 2, 3, 20]), draw.random.random() < 0.5)


def _stop(draw: Draw) -> Any:
    token = draw.token()
    return token and (token,)


def _end(draw: Draw) -> Any:
    executor = draw.executor()
    draw.ended.add(executor)
    return (executor,) if len(draw.ended) < len(EXECUTORS) - 3 else None


def _code(draw: Draw) -> Any:
    return (13,)


def _mend(draw: Draw) -> Any:
    return (13,) if broken else None


def _rebuild(draw: Draw) -> Any:
    return draw.name(), draw.once()


def _build_number(draw: Draw) -> int | None:
    return draw.random.choice([None, None, 1, 2, 3])


def _promote(draw: Draw) -> Any:
    return draw.name(), _build_number(draw), draw.random.random() < 0.4


def _drop(draw: Draw) -> Any:
    return draw.name(), _build_number(draw)


def _orphan(draw: Draw) -> Any:
    return (draw.name(),)


def _open(draw: Draw) -> Any:
    return (draw.random.random() < 0.5,)


def _request(draw: Draw) -> Any:
    waiting = [(build.name, key) for build in draw.side.memory.builds_of(None) for key in build.set_aside]
    name, key = draw.random.choice(waiting) if waiting and draw.random.random() < 0.9 else (BOARD, "nothing")
    return name, key, draw.random.choice(["retry", "skip"]), draw.once()


def _shown(draw: Draw) -> Any:
    where = [{}, {}, {"pieces": "3"}, {"pieces": "x"}, {"shelf": "a"}, {"times": "2"}, {"is_full": "true"},
             {"colour": "red", "last": "b"}, {"price": "3.0"}, {"at": "2026-01-01"}, {"nothing": "1"}]  # fmt: skip
    return (
        draw.name(),
        draw.random.choice(where),
        draw.random.choice([None, None, *KEYS]),
        draw.random.choice([1, 2, 9]),
    )


def _reached(draw: Draw) -> Any:
    count = len(draw.side.memory.events.stored)
    return (draw.name(), draw.random.randint(max(1, count - 5), count)) if count else None


def _listed(draw: Draw) -> Any:
    return (draw.name(),)


def _nothing(draw: Draw) -> Any:
    return ()


KINDS: list[tuple[str, Callable[[Draw], Any], float]] = [
    ("append", _append, 8),
    ("begin", _begin, 5),
    ("step", _step, 14),
    ("catch_up", _begin, 5),
    ("stop", _stop, 1),
    ("end_executor", _end, 0.5),
    ("break_code", _code, 1),
    ("mend_code", _mend, 1),
    ("restart", _nothing, 0.4),
    ("rebuild", _rebuild, 2.5),
    ("promote", _promote, 2.5),
    ("drop", _drop, 1.5),
    ("drop_orphan", _orphan, 0.7),
    ("create_first_builds", _open, 1),
    ("request", _request, 4),
    ("shown", _shown, 2),
    ("reached", _reached, 2),
    ("listed", _listed, 2),
]
"""All operations: how each is drawn, and how often."""
