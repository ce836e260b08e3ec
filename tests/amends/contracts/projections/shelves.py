"""Read models of shelves: in two versions, with keys of its own and columns of many types, and an inline one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from domain.amends.aggregate import Aggregate
from domain.amends.event import event
from domain.amends.projection import Projection, Recorded


@event("contract-shelf-filled")
class Filled:
    pieces: int
    colour: str = "red"
    price: Decimal = Decimal("1.50")


@event("contract-shelf-emptied")
class Emptied:
    pass


@event("contract-shelf-moved")
class Moved:
    """Something that no read model here looks at."""


def pieces(total: int, event: Filled | Emptied | Moved) -> int:
    return total + 1


shelves = Aggregate("shelf", initial=0, evolve=pieces)

broken: set[int] = set()
"""Pieces that the code cannot deal with, until it is mended."""


@dataclass(frozen=True)
class Shelf:
    shelf: str
    pieces: int
    times: int


@dataclass(frozen=True)
class WideShelf:
    shelf: str
    pieces: int
    is_full: bool


@dataclass(frozen=True)
class Colour:
    colour: str
    price: Decimal
    at: datetime
    shelves: dict[str, int]
    last: str | None = None


def _checked(told: Recorded[Any]) -> int:
    found: int = told.event.pieces
    if found in broken:
        raise ValueError(f"{found} pieces cannot be")
    return found


def evolve(row: Shelf | None, told: Recorded[Filled | Emptied]) -> Shelf | None:
    if isinstance(told.event, Emptied):
        return None
    now = row or Shelf(told.key, 0, 0)
    return replace(now, pieces=now.pieces + _checked(told), times=now.times + 1)


def widely(row: WideShelf | None, told: Recorded[Filled | Emptied]) -> WideShelf | None:
    if isinstance(told.event, Emptied):
        return None
    total = _checked(told) + (row.pieces if row else 0)
    return WideShelf(told.key, total, total > 10)


def kept(row: Shelf | None, told: Recorded[Filled | Emptied]) -> Shelf | None:
    now = row or Shelf(told.key, 0, 0)
    if isinstance(told.event, Emptied):
        return replace(now, pieces=0)
    return replace(now, pieces=now.pieces + _checked(told), times=now.times + 1)


def colour_of(told: Recorded[Filled]) -> str | None:
    if told.event.colour == "odd":
        raise ValueError("an odd colour")
    return told.event.colour if told.event.colour != "none" else None


def coloured(row: Colour | None, told: Recorded[Filled]) -> Colour | None:
    now = row or Colour(told.event.colour, Decimal(0), told.at, {})
    shelf = told.stream.removeprefix("shelf-")
    filled = now.shelves | {shelf: now.shelves.get(shelf, 0) + _checked(told)}
    return replace(now, price=now.price + told.event.price, at=told.at, shelves=filled, last=shelf)


BOARD = "contract_board"
board = Projection(BOARD, version=1, of=shelves, evolve=evolve, key="shelf", indexes=[("pieces",)])
wide = Projection(BOARD, version=2, of=shelves, evolve=widely, key="shelf")
colours = Projection("contract_colours", version=1, of=shelves, evolve=coloured, key="colour", key_of=colour_of)
now = Projection("contract_now", version=1, of=shelves, evolve=kept, key="shelf", mode="inline")

KNOWN: dict[tuple[str, int], Projection[Any, Any]] = {
    (each.name, each.version): each for each in (board, wide, colours, now)
}
FIRST = {key: each for key, each in KNOWN.items() if key[1] == 1}
"""The code before it was changed: its builds are made first."""
KEYS = ["a", "b", "c", "d", "red", "blue", "green"]
"""All keys that a row may have."""
