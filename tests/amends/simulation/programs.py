"""Programs drawn from a seed, and what clients do meanwhile."""

from __future__ import annotations

from random import Random
from typing import Final

from tests.amends.simulation.journeys import CHILDREN, Dash, Does, Errand, Journey, Mission, Part, Poke, Program, Words
from tests.amends.simulation.providers import PROVIDERS
from workflows.amends.simulation.cluster.clients import (
    Action,
    CancelAction,
    DbosAction,
    DbosToolAction,
    SignalAction,
    StartAction,
)

STREAMS: Final = 2


ANYWHERE: Final[tuple[Does, ...]] = (
    *("call",) * 4,
    *("decide",) * 2,
    *("receive",) * 3,
    *("gather", "sleep", "notify", "either", "hurry", "note", "think"),
)
"""What a part does, the more often the more often it stands here."""
BY: Final[dict[type, tuple[Does, ...]]] = {
    Journey: ("errand", "errands", "errands", "mission", "dash"),
    Mission: ("errand",),
    Dash: ("errand",),
}
"""What only sagas with children do."""
SIMPLE: Final[tuple[Does, ...]] = ("call", "call", "decide", "notify", "note")
"""What may stand in a gather, or under a time limit."""
BUGS: Final = 0.03
"""Of so many parts, and between so many, the code is wrong at first."""


class Author:
    """Writes programs."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice

    def actions(self, over: float) -> list[Action]:
        """A few sagas, with signals to them and wishes to cancel them, until the faults are over."""
        dice, made = self._dice, list[Action]()
        for number in range(dice.choice((1, 1, 1, 2, 2, 3))):
            cls: type[Words] = dice.choice((Journey, Journey, Journey, Journey, Errand, Dash, Mission))
            name = cls.definition.name
            id, at = f"s{number}", dice.uniform(0.0, over * 0.7)
            program = Program(id, self._parts(id, cls, dice.choice((1, 2, 3, 3, 4, 5))))
            made.append(StartAction(at, id, name, program))
            if dice.random() < 0.03:
                made.append(self._rival(id, at, program))
            if dice.random() < 0.05:
                made += self._in_dbos(id, at, over)
            made += self._pokes(id, at, over, _receives(program.parts))
            if dice.random() < 0.3:
                made.append(CancelAction(at + dice.choice((0.2, 1.0)) * dice.uniform(0, over), id, name, "never mind"))
        return made

    def _rival(self, id: str, at: float, program: Program) -> Action:
        """Somebody else takes the id of a saga, or of its first child, for something else."""
        taken = id if self._dice.random() < 0.3 else f"{id}.errand.1.0"
        return StartAction(at + self._dice.uniform(-0.5, 0.5), taken, "errand", Program(taken, program.parts[:1]))

    def _in_dbos(self, id: str, at: float, over: float) -> list[Action]:
        """Somebody uses DBOS's own tools."""
        does: tuple[DbosAction, ...] = self._dice.choice(
            (("cancel",), ("cancel", "resume"), ("fork",), ("resume",)),
        )
        first = at + self._dice.choice((0.1, 1.0)) * self._dice.uniform(0, over)
        return [DbosToolAction(first + number, id, each) for number, each in enumerate(does)]

    def _pokes(self, id: str, at: float, over: float, receives: int) -> list[Action]:
        dice, made = self._dice, list[Action]()
        for number in range(receives + dice.choice((-1, 0, 0, 0, 1))):
            when = at + dice.uniform(0, over)
            for _ in range(dice.choice((1, 1, 2))):  # some clients send it once more
                made.append(SignalAction(when + dice.uniform(0, 0.5), id, Poke(number), f"{id} poke {number}"))
        return made

    def _parts(self, who: str, cls: type, count: int, deep: int = 0) -> tuple[Part, ...]:
        dice = self._dice
        made = [self._part(f"{who}.{number}", deep, cls) for number in range(count)]
        if cls in (Journey, Mission) and dice.random() < 0.4:
            made.insert(dice.randrange(len(made) + 1), self._simple("pivot", who))
        if dice.random() < 0.2:
            made.insert(dice.randrange(len(made) + 1), Part("refuse", who))
        if dice.random() < BUGS:
            wrong: Does = dice.choice(("bug", "bug", "hang"))
            made.insert(dice.randrange(len(made) + 1), Part(wrong, who, bugs=dice.choice((1, 1, 2, 9))))
        return tuple(made)

    def _part(self, who: str, deep: int, cls: type) -> Part:
        dice = self._dice
        does = dice.choice((*ANYWHERE, *BY.get(cls, ())))
        match does:
            case "gather":
                inner = tuple(self._simple(dice.choice(SIMPLE), who) for _ in range(dice.choice((2, 2, 3))))
                if cls in BY and dice.random() < 0.2:
                    inner = (*inner[1:], self._child("errand", who, deep))
                return Part("gather", who, parts=inner)
            case "receive":
                return Part("receive", who, seconds=dice.choice((0.0, dice.uniform(0.1, 4.0))))
            case "think":
                return Part("think", who, seconds=dice.choice((0.0, 0.01, 0.3)))
            case "sleep":
                return Part("sleep", who, seconds=dice.choice((0.05, 0.5, 2.0)) * dice.uniform(0.5, 1.5))
            case "errand" | "mission" | "dash":
                return self._child(does, who, deep)
            case "errands":
                inner = tuple(self._child("errand", f"{who}.{each}", deep) for each in range(2))
                return Part("errands", who, parts=inner)
            case "either":
                first = self._child("errand", who, deep) if cls in BY and dice.random() < 0.3 else None
                call = self._simple("call", who)
                return Part("either", who, parts=(first or self._simple("call", who), call))
            case "hurry":
                return self._hurry(who, deep, cls)
            case _:
                return self._simple(does, who)

    def _hurry(self, who: str, deep: int, cls: type) -> Part:
        """A part of another kind, under a time limit."""
        within = self._part(who, deep, cls)
        while within.does == "hurry":
            within = self._part(who, deep, cls)
        return Part("hurry", who, seconds=self._dice.choice((0.02, 0.3, 2.0, 9.0)), parts=(within,))

    def _child(self, does: Does, who: str, deep: int) -> Part:
        count = self._dice.choice((1, 2, 3))
        return Part(does, who, parts=self._parts(who, CHILDREN[does], count, deep + 1))

    def _simple(self, does: Does, who: str) -> Part:
        dice = self._dice
        number = dice.randrange(STREAMS if does in ("decide", "note") else PROVIDERS)
        refused = does in ("call", "decide") and dice.random() < 0.08
        bugs = dice.choice((1, 1, 2, 9)) if does in ("call", "decide") and dice.random() < BUGS else 0
        return Part(does, who, number, refused, bugs=bugs, undoes=bugs > 0 and dice.random() < 0.5)


def _receives(parts: tuple[Part, ...]) -> int:
    return sum(part.does == "receive" for part in parts)
