"""Sagas that do what their program says: every word there is, in any order."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from domain.amends.aggregate import Aggregate
from domain.amends.errors import Refusal
from domain.amends.event import event
from workflows.amends.saga import Call, ChildFailed, Retry, Saga, Transaction, Undo, seconds, signal, step, transaction
from workflows.amends.step import StepCall

Does = Literal[
    "call",
    "notify",
    "decide",
    "note",
    "gather",
    "receive",
    "sleep",
    "think",
    "errand",
    "mission",
    "dash",
    "errands",
    "either",
    "hurry",
    "pivot",
    "refuse",
    "bug",
    "hang",
]
"""What one part of a program does. `either` is a call that goes on with another one if it is refused, `note` appends
without looking, and `think` waits for something that is none of its saga's words. `errand`, `mission` and `dash` are
sagas that it starts. `hurry` stops waiting for its part when a time limit of its own is over. `bug` and `hang` are code
of `run` that is wrong until somebody has mended it."""


@dataclass(frozen=True)
class Part:
    """One part of a program. `who` is the saga, `number` a provider or a stream; `refused`: the answer will be no.

    Its code, or that of its compensation if it is that which is wrong, is wrong the first `bugs` times that it runs: a
    call does another step inside, a decision raises an error.
    """

    does: Does
    who: str
    number: int = 0
    refused: bool = False
    seconds: float = 0.0
    parts: tuple[Part, ...] = ()
    bugs: int = 0
    undoes: bool = False
    """Whether it is the compensation that is wrong."""


@dataclass(frozen=True)
class Program:
    id: str
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What a saga tells in the end: the keys of what was done, the signals that it received, times and ids."""

    keys: list[str] = field(default_factory=list)
    heard: list[int] = field(default_factory=list)
    made: list[str] = field(default_factory=list)

    def did(self, *keys: str | None) -> None:
        """Something was done under these keys."""
        self.keys.extend(key for key in keys if key)


class Refused(Refusal, name="simulated-refusal"):
    """Provider {number} says no."""

    number: int


@signal("poke")
class Poke:
    number: int


@event("simulated-added")
class Added:
    who: str


@event("simulated-removed")
class Removed:
    who: str


def _evolve(count: int, event: Added | Removed) -> int:
    return count + (1 if isinstance(event, Added) else -1)


tallies: Aggregate[int, Added | Removed] = Aggregate("simulated-tally", 0, _evolve)


def add(count: int, who: str) -> list[Added]:
    return [Added(who)]


def remove(count: int, who: str) -> list[Removed]:
    return [Removed(who)]


class Effects(Protocol):
    """A provider that does something once per key."""

    async def do(self, key: str, refused: bool) -> str: ...
    async def undo(self, of: str, key: str) -> None: ...


class Bug(Exception):
    """The code is wrong."""


@dataclass
class Bugs:
    """What was wrong with the code, and how often it has shown so far: after a number of times somebody mends it."""

    shown: Counter[str] = field(default_factory=Counter)

    def shows(self, where: str, times: int) -> bool:
        """Whether the code at a place is wrong, which it is so many times."""
        if not times or self.shown[where] >= times:
            return False
        self.shown[where] += 1
        return True

    def show(self, part: Part, undoes: bool = False) -> None:
        """Raise Bug if the code of a part, or of its compensation, is wrong."""
        if part.undoes == undoes and self.shows(f"{part}", part.bugs):
            raise Bug(part.who)


QUICK = Retry(attempts=3, first_wait=seconds(0.1), longest_wait=seconds(1))
PATIENT = Retry(attempts=6, first_wait=seconds(0.1), longest_wait=seconds(1))
LONG_SECONDS = 1000.0
"""For so long `run` waits where it hangs."""


@dataclass(frozen=True)
class Words(Saga[Program, Outcome], name="words", signals=[Poke]):
    """The steps that all of these sagas have, and how they go through their programs."""

    providers: tuple[Effects, ...]
    bugs: Bugs

    async def run(self, request: Program) -> Outcome:
        outcome = Outcome()
        for part in request.parts:
            await self._perform(part, outcome)
        return outcome

    async def _perform(self, part: Part, outcome: Outcome) -> None:
        match part.does:
            case "call" | "notify" | "decide" | "note" | "pivot":
                outcome.did(await self._step(part))
            case "think":
                await asyncio.sleep(part.seconds)
                outcome.made.append(f"{self.now()} {self.new_id()}")
            case "gather":
                for done in await self.gather(*(self._branch(each) for each in part.parts)):
                    outcome.did(*(done.keys if isinstance(done, Outcome) else [done]))
            case "sleep":
                await self.sleep(seconds(part.seconds))
            case "refuse":
                raise Refused(part.number)
            case "bug" | "hang":
                await self._fail(part)
            case _:
                await self._wait_for_others(part, outcome)

    async def _fail(self, part: Part) -> None:
        if not self.bugs.shows(f"{part}", part.bugs):
            return
        if part.does == "bug":
            raise Bug(part.who)
        await asyncio.sleep(LONG_SECONDS)

    async def _wait_for_others(self, part: Part, outcome: Outcome) -> None:
        match part.does:
            case "receive":
                poke = await self.receive(Poke, timeout=seconds(part.seconds) if part.seconds else None)
                outcome.heard.extend([poke.number] if poke else [])
            case "errand" | "mission" | "dash":
                outcome.did(*(await self._child(part)).keys)
            case "errands":
                for done in await self.gather(*(self._child(each) for each in part.parts)):
                    outcome.did(*done.keys)
            case "hurry":
                async with asyncio.timeout(part.seconds):
                    await self._perform(part.parts[0], outcome)
            case "either":
                first, second = part.parts
                try:
                    await self._perform(first, outcome)
                except (Refused, ChildFailed):
                    await self._perform(second, outcome)

    def _branch(self, part: Part) -> StepCall[Any]:
        return self._child(part) if part.does in CHILDREN else self._step(part)

    def _step(self, part: Part) -> StepCall[Any]:
        steps: dict[str, Callable[[Part], StepCall[Any]]] = {
            "call": self.call,
            "notify": self.notify,
            "decide": self.decide,
            "note": self.note,
        }
        return steps[part.does](part)

    def _child(self, part: Part) -> StepCall[Outcome]:
        return self.child(CHILDREN[part.does], Program(part.who, part.parts))

    @step(retry=QUICK, timeout=seconds(1.5))
    async def call(self, call: Call, part: Part) -> str:
        if part.bugs and not part.undoes and self.bugs.shows(f"{part}", part.bugs):
            _ = self.notify(part)  # as a bug has it: nobody awaits it
        return await self.providers[part.number].do(call.key, part.refused)

    @call.compensation(retry=PATIENT, timeout=seconds(1.5))
    async def take_back(self, undo: Undo[str], part: Part) -> None:
        if part.undoes and self.bugs.shows(f"{part}", part.bugs):
            _ = self.notify(part)  # as a bug has it: nobody awaits it
        await self.providers[part.number].undo(undo.of, undo.key)

    @step(retry=QUICK, timeout=seconds(1.5), compensation=None)
    async def notify(self, call: Call, part: Part) -> None:
        await self.providers[part.number].do(call.key, part.refused)

    @transaction
    async def decide(self, tx: Transaction, part: Part) -> None:
        self.bugs.show(part)
        await tx.decide(tallies, str(part.number), add, part.who)
        if part.refused:
            raise Refused(part.number)

    @decide.compensation
    async def revoke(self, tx: Transaction, part: Part) -> None:
        self.bugs.show(part, undoes=True)
        await tx.decide(tallies, str(part.number), remove, part.who)

    @transaction
    async def note(self, tx: Transaction, part: Part) -> None:
        tx.append(tallies.stream(str(part.number)), Added(part.who))

    @note.compensation
    async def unnote(self, tx: Transaction, part: Part) -> None:
        await tx.decide(tallies, str(part.number), remove, part.who)


@dataclass(frozen=True)
class Errand(Words, name="errand", signals=[Poke]):
    """A child without a pivot."""


@dataclass(frozen=True)
class Dash(Words, name="dash", signals=[Poke], children=[Errand], deadline=seconds(3)):
    """A saga with little time."""


@dataclass(frozen=True)
class Mission(Words, name="mission", signals=[Poke], children=[Errand]):
    """A child that may have a pivot, which is one of its parent then."""

    def _step(self, part: Part) -> StepCall[Any]:
        return self.commit_to(part) if part.does == "pivot" else super()._step(part)

    @step(retry=PATIENT, timeout=seconds(1.5), pivot=True)
    async def commit_to(self, call: Call, part: Part) -> str:
        return await self.providers[part.number].do(call.key, part.refused)


@dataclass(frozen=True)
class Journey(Mission, name="journey", signals=[Poke], children=[Errand, Mission, Dash]):
    """A saga with a pivot, and children of all kinds."""


JOURNEYS: tuple[type[Words], ...] = (Journey, Mission, Errand, Dash)
CHILDREN: dict[str, type[Words]] = {"errand": Errand, "mission": Mission, "dash": Dash}
"""The sagas that a saga may start, by what the part does that starts one."""
