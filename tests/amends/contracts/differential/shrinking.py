"""A sequence of operations on which the two stores differ, made as short as it can be, and how to see it again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from tests.amends.contracts.differential.draw import Operation
from tests.amends.contracts.differential.history import Difference, History, Outcomes, run
from tests.amends.contracts.differential.postgres import PostgresSide

LENGTH = 250
"""So many operations has the history of a seed, unless said otherwise."""


async def require_same(
    postgres: PostgresSide, seed: int, outcomes: Outcomes, length: int = LENGTH, only: Collection[int] | None = None
) -> None:
    """Carry out the operations of a seed. Raises Difference with the fewest of them that show one."""
    drawn = await History(seed, length).drawn()
    try:
        await run(drawn, postgres, outcomes, only)
    except Difference as first:
        if only is not None:
            raise
        kept = await shortest(drawn, postgres, first)
        raise await _told(drawn, postgres, seed, length, kept) from None


async def shortest(
    drawn: Sequence[tuple[Operation, timedelta]], postgres: PostgresSide, first: Difference
) -> list[int]:
    """The numbers of as few operations as still show a difference at the same kind of operation.

    Parts are left out, smaller ones each time.
    """
    kept = list(range(len(drawn)))
    kept = kept[: kept.index(first.number) + 1]
    size = len(kept) // 2
    while size:
        for start in range(len(kept) - size, -1, -size):
            fewer = kept[:start] + kept[start + size :]
            found = await _differs(drawn, postgres, fewer)
            if found and found.name == first.name:
                kept = [number for number in fewer if number <= found.number]
        size //= 2
    return kept


async def _differs(
    drawn: Sequence[tuple[Operation, timedelta]], postgres: PostgresSide, only: Collection[int]
) -> Difference | None:
    """The first difference that these operations show."""
    try:
        await run(drawn, postgres, only=only)
    except Difference as found:
        return found
    return None


async def _told(
    drawn: Sequence[tuple[Operation, timedelta]], postgres: PostgresSide, seed: int, length: int, kept: Sequence[int]
) -> Difference:
    """The difference that these operations show, with all of them and the command that shows it again."""
    numbers = ",".join(map(str, kept))
    told = "\n".join(f"{number}. {drawn[number][0].name} {drawn[number][0].told}" for number in kept)
    again = f"python -m tests.amends.contracts.differential {seed} --length {length} --only {numbers}"
    try:
        await run(drawn, postgres, only=kept)
    except Difference as found:
        return Difference(found.number, found.name, f"{told}\n\n{found}\n\nSee it again: {again}")
    return Difference(kept[-1], drawn[kept[-1]][0].name, f"{told}\n\nIt does not differ any more: {again}")
