"""A provider that remembers keys, as real ones do, and the books of what all of them have done."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Final

from tests.amends.simulation.journeys import Refused

PROVIDERS: Final = 3


class Undone(Exception):
    """This was undone before it arrived."""


class CannotDo(Exception):
    """The provider is not able to do that now."""


class CannotUndo(Exception):
    """The provider is not able to do that now."""


@dataclass
class Books:
    """What was done and undone, by key, and what went wrong with that."""

    done: dict[str, int] = field(default_factory=dict)
    undone: dict[str, str] = field(default_factory=dict)
    """The key under which something was undone, whether it had been done or not."""
    calls: int = 0

    @property
    def live(self) -> list[str]:
        """The keys of what was done and not undone."""
        return [key for key in self.done if key not in self.undone]


@dataclass
class Provider:
    """One of them."""

    number: int
    books: Books
    pace: float = 0.0
    """How long it takes at most, in seconds, before and after it has acted."""
    dice: Random = field(default_factory=Random)
    stubborn: int = 0
    """So many times it fails to undo what it is asked to, each time; the last one of all refuses it."""
    balks: int = 0
    """So many times it fails to do what it is asked to, each time."""
    _failures: Counter[str] = field(default_factory=Counter)

    async def do(self, key: str, refused: bool) -> str:
        self.books.calls += 1
        if refused:
            raise Refused(self.number)
        if self._fails(key, self.balks):
            raise CannotDo(key)
        await self._take_time()
        if key in self.books.undone:
            raise Undone(key)
        self.books.done.setdefault(key, self.number)
        await self._take_time()
        return key

    async def undo(self, of: str, key: str) -> None:
        self.books.calls += 1
        if self._fails(f"undo {of}", self.stubborn):
            raise Refused(self.number) if self.number == PROVIDERS - 1 else CannotUndo(of)
        await self._take_time()
        self.books.undone.setdefault(of, key)

    def _fails(self, what: str, times: int) -> bool:
        """Whether it fails once more, which it does so many times."""
        self._failures[what] += 1
        return self._failures[what] <= times

    async def _take_time(self) -> None:
        if self.pace:
            await asyncio.sleep(self.dice.uniform(0, self.pace))
