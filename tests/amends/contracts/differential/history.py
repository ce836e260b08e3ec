"""One random sequence of operations on two sides, which are compared after each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import unified_diff
from enum import Enum
from inspect import isawaitable
from json import dumps
from random import Random
from typing import Any

from tests.amends.contracts.differential.draw import Draw, Operation
from tests.amends.contracts.differential.operations import Kind
from tests.amends.contracts.differential.operations.every import KINDS
from tests.amends.contracts.differential.postgres import PostgresSide
from tests.amends.contracts.differential.shown import Names
from tests.amends.contracts.differential.sides import MemorySide, Side
from workflows.amends.ports.event_store import START, FeedCursor
from workflows.amends.ports.execution_log import ChildIdTaken, Fenced, ForeignStep

PASSES = [1, 7, 100, 900, 2_000] * 4 + [10_000, 70_000]
"""Milliseconds that may pass between two operations."""
EAGER = 3
"""So many times as often is drawn what has not been seen yet."""


class Difference(AssertionError):
    """The two sides differ after the operation with this number and name."""

    def __init__(self, number: int, name: str, problem: str) -> None:
        super().__init__(problem)
        self.number, self.name = number, name


@dataclass
class Compared:
    """One side, and what is known of it so far."""

    side: Side
    names: Names = field(default_factory=Names)
    read_to: FeedCursor = START
    state: Any = None

    async def carry_out(self, operation: Operation) -> Any:
        """The answer of an operation, or its error."""
        try:
            answer = operation.call(self.side)
            return await answer if isawaitable(answer) else answer
        except (Exception, Fenced, ForeignStep, ChildIdTaken) as error:
            return error

    async def look(self) -> list[dict[str, Any]]:
        """The events that have come since the last look; reads the state, too."""
        events = await self.side.feed(self.read_to, self.names.count)
        self.read_to = events[-1].cursor if events else self.read_to
        shown = self.names.learn(events)
        state = await self.side.state()
        self.state = state | {"answers": self.names.shown(state["answers"])}
        return shown


@dataclass
class Outcomes:
    """How often each kind of operation had each outcome; `success` says that it did something or found something."""

    seen: Counter[tuple[str, str]] = field(default_factory=Counter)

    def note(self, operation: Operation, answer: Any, did: bool) -> None:
        named = answer.name if isinstance(answer, Enum) else type(answer).__name__
        if isinstance(answer, BaseException) or named in ("StreamMoved", "RepeatedRequest", "str", "TAKEN", "REPEATED"):
            self.seen[operation.name, "Conflict" if named == "AlreadyExists" else named] += 1
        elif did or answer not in (None, 0, False, []):
            self.seen[operation.name, "success"] += 1

    def missing(self) -> list[str]:
        """What must be seen and was not."""
        return [f"{kind.name}: {outcome}" for kind in KINDS for outcome in self.lacks(kind)]

    def lacks(self, kind: Kind) -> list[str]:
        """The outcomes of a kind that must be seen and were not."""
        return [outcome for outcome in kind.outcomes if not self.seen[kind.name, outcome]]


@dataclass
class History:
    """The operations of a seed: they are drawn from what stands in the store in memory while they are carried out."""

    seed: int
    length: int

    async def drawn(self) -> list[tuple[Operation, timedelta]]:
        """All its operations, each with the time that passes before it."""
        side, drawn, outcomes = MemorySide(), list[tuple[Operation, timedelta]](), Outcomes()
        draw = Draw(Random(self.seed), side.store)
        while len(drawn) < self.length:
            passes = draw.random.choice(PASSES) * timedelta(milliseconds=1)
            await side.tell_time(side.store.clock.now + passes)
            if (operation := self._kind(draw, outcomes).draw(draw)) is not None:
                drawn.append((operation, passes))
                outcomes.note(operation, await Compared(side).carry_out(operation), False)
        return drawn

    def _kind(self, draw: Draw, outcomes: Outcomes) -> Kind:
        """The kind of the next operation; one that has not had all its outcomes yet is drawn more often."""
        weights = [kind.weight * (EAGER if outcomes.lacks(kind) else 1) for kind in KINDS]
        return draw.random.choices(KINDS, weights)[0]


async def run(
    drawn: Sequence[tuple[Operation, timedelta]],
    postgres: PostgresSide,
    outcomes: Outcomes | None = None,
    only: Collection[int] | None = None,
) -> None:
    """Carry out operations, or some of them by number, on an empty memory and an empty Postgres.

    Raises Difference after the first one of which the two tell different things.
    """
    await postgres.empty()
    memory = MemorySide()
    sides = [Compared(memory), Compared(postgres)]
    now, before = memory.store.clock.now, None
    for number, (operation, passes) in enumerate(drawn):
        now += passes
        if only is not None and number not in only:
            continue
        for each in sides:
            await each.side.tell_time(now)
        answers = [await each.carry_out(operation) for each in sides]
        events = [await each.look() for each in sides]
        shown = [each.names.answer(answer) for each, answer in zip(sides, answers, strict=True)]
        told = [[answer, each, side.state] for answer, each, side in zip(shown, events, sides, strict=True)]
        if told[0] != told[1]:
            raise Difference(
                number, operation.name, f"{number}. {operation.name} {operation.told}\n{difference(*told)}"
            )
        if outcomes:
            outcomes.note(operation, answers[0], told[0][1:] != [[], before])
        before = sides[0].state


def difference(memory: Any, postgres: Any) -> str:
    """What differs, line by line."""
    before, after = (
        dumps(each, indent=1, sort_keys=True, ensure_ascii=False).splitlines() for each in (memory, postgres)
    )
    return "\n".join(unified_diff(before, after, "in memory", "in Postgres", lineterm="", n=4))
