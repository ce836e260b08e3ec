"""Every operation of the store, drawn with what it is given; each file adds those of one part to the list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from tests.amends.contracts.differential.draw import Draw, Operation

Drawn: TypeAlias = Callable[[Draw], Operation | None]


@dataclass(frozen=True)
class Kind:
    """A kind of operation: how often it is drawn, and the outcomes that must have been seen."""

    name: str
    draw: Drawn
    weight: int
    outcomes: tuple[str, ...]


KINDS: Final = list[Kind]()
"""All kinds of operations, once the modules of this package are imported."""


def operation(weight: int = 2, *outcomes: str) -> Callable[[Drawn], Drawn]:
    """A kind of operation that must have succeeded, or have had these outcomes: `success`, errors, and other answers.

    It succeeds if it has found something or changed something.
    """

    def add(draw: Drawn) -> Drawn:
        name = getattr(draw, "__name__").replace("_", " ")  # noqa: B009
        KINDS.append(Kind(name, draw, weight, outcomes or ("success",)))
        return draw

    return add
