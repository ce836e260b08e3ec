"""One random sequence of operations on both stores, which are compared after each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from difflib import unified_diff
from pprint import pformat
from random import Random
from typing import Any
from uuid import UUID

from domain.amends.errors import AmendsError
from domain.amends.projection import Projection
from tests.amends.contracts.projections.draw import KINDS, Draw
from tests.amends.contracts.projections.operations import Operation
from tests.amends.contracts.projections.shelves import KEYS, KNOWN, broken
from tests.amends.contracts.projections.sides import MemorySide, Side
from workflows.amends.ports.event_store import FeedCursor
from workflows.amends.ports.projection_builds import BuildTarget, ProjectionBuild
from workflows.amends.values.codec import parse_json, type_adapter

PASSES = [0, 1, 7, 100, 900, 2_000, 4_000] * 3 + [11_000, 25_000]
"""Milliseconds that pass before an operation."""


class Difference(AssertionError):
    """The two sides differ."""


@dataclass
class Look:
    """All that stands in one store, with events and places known by their numbers in the feed."""

    side: Side
    numbers: dict[Any, int] = field(default_factory=dict)

    async def state(self) -> dict[str, Any]:
        """Every row, build, dead letter and event."""
        stored = await self.side.events.feed(limit=1_000_000)
        self.numbers = {each.id: number for number, each in enumerate(stored, start=1)}
        self.numbers |= {each.position: number for number, each in enumerate(stored, start=1)}
        self._places = [each.cursor for each in stored]
        builds = await self.side.store.builds()
        aside = await self.side.set_aside()
        return {
            "events": [(each.stream, each.version, each.name, self.shown(each.data)) for each in stored],
            "builds": [self.shown(vars(each) | {"run": None}) for each in builds],
            "rows": {f"{each.name} {each.build}": await self._rows(each) for each in builds},
            "set aside": sorted((self.shown(dict(each)) for each in aside), key=str),
            "skipped": {name: await self._skipped(name) for name, _ in KNOWN},
        }

    async def _rows(self, build: ProjectionBuild) -> Any:
        projection: Projection[Any, Any] = KNOWN[build.name, build.version]
        found = await self.side.store.rows_json(BuildTarget(build.name, build.build), KEYS)
        versions = {each[projection.key]: each.get("_version") for each in parse_json(found)}
        rows = type_adapter(list[projection.row]).validate_json(found)  # type: ignore[name-defined]
        return sorted((repr(row), versions[getattr(row, projection.key)]) for row in rows)

    async def _skipped(self, name: str) -> list[int]:
        return sorted(map(self._number, await self.side.store.skipped_positions(name)))

    def _number(self, position: int) -> int:
        return self.numbers[position]

    def shown(self, value: Any, key: str = "") -> Any:
        """A value without what its store has drawn."""
        if isinstance(value, AmendsError):
            return {"raised": type(value).__name__, "told": self.shown(value.facts())}
        if isinstance(value, BaseException):
            return {"raised": type(value).__name__}
        if isinstance(value, FeedCursor):
            return sum(place <= value for place in self._places)
        if is_dataclass(value) and not isinstance(value, type):
            return {each.name: self.shown(getattr(value, each.name), each.name) for each in fields(value)}
        if isinstance(value, dict):
            return {name: self.shown(each, str(name)) for name, each in sorted(value.items())}
        if isinstance(value, list | tuple):
            return [self.shown(each) for each in value]
        if isinstance(value, datetime):
            return value.astimezone(UTC).isoformat()
        return self._plain(value, key)

    def _plain(self, value: Any, key: str) -> Any:
        if key == "position" and isinstance(value, str) and (place := FeedCursor.parse(value)):
            return self.shown(place)
        if key == "position" and isinstance(value, int):
            return self.numbers[value]
        if key == "positions":
            return sorted(map(self._number, value))
        return str(value) if isinstance(value, UUID | Decimal) else value


@dataclass
class Outcomes:
    """How often each operation succeeded, and how often it raised what."""

    seen: Counter[tuple[str, str]] = field(default_factory=Counter)

    def note(self, operation: Operation, answer: Any) -> None:
        what = "success" if answer not in (None, False, [], [None], "dropped") else "nothing"
        self.seen[operation.name, type(answer).__name__ if isinstance(answer, Exception) else what] += 1

    def missing(self) -> list[str]:
        """The operations that never succeeded."""
        return [name for name, _, _ in KINDS if not self.seen[name, "success"]]


async def require_same(postgres: Side, seed: int, length: int, outcomes: Outcomes) -> None:
    """Carry out the operations of a seed on empty stores. Raises Difference after the first of which they differ."""
    memory = MemorySide()
    broken.clear()
    for side in (memory, postgres):
        await side.empty()
    draw, looks = Draw(Random(seed), memory), [Look(memory), Look(postgres)]
    told = list[str]()
    at = memory.clock.now
    for number in range(length):
        at += timedelta(milliseconds=draw.random.choice(PASSES))
        operation = draw.next()
        told.append(f"{number}. {at:%H:%M:%S.%f} {operation.name} {operation.told}")
        answers = [await _carried_out(operation, look.side, at) for look in looks]
        states = [await look.state() for look in looks]
        shown = [[look.shown(answer), state] for look, answer, state in zip(looks, answers, states, strict=True)]
        if shown[0] != shown[1]:
            last = "\n".join(told[-12:])
            again = f"python -m tests.amends.contracts.projections {seed} --length {length}"
            raise Difference(f"{last}\n{_difference(*shown)}\n\nSee it again: {again}")
        outcomes.note(operation, answers[0])


async def _carried_out(operation: Operation, side: Side, at: datetime) -> Any:
    await side.tell_time(at)
    await side.settled()
    try:
        answer = await operation.call(side)
    except Exception as error:
        answer = error
    await side.settled()
    return answer


def _difference(memory: Any, postgres: Any) -> str:
    before, after = (pformat(each, width=160).splitlines() for each in (memory, postgres))
    return "\n".join(unified_diff(before, after, "in memory", "in Postgres", lineterm="", n=3))
