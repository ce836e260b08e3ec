"""A simulated saga has its read models: the rows that a server's runner would make of its events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from tests.amends.contracts.projections.shelves import (
    Filled,
    Shelf,
    WideShelf,
    board,
    broken,
    colours,
    now,
    shelves,
    wide,
)
from workflows.amends.saga import Saga, Transaction, transaction
from workflows.amends.simulation.simulation import Simulation


def fill(state: int, pieces: int) -> list[Filled]:
    return [Filled(pieces)]


@dataclass(frozen=True)
class FillShelves(Saga[tuple[int, ...], None], name="contract-fill-shelves"):
    async def run(self, request: tuple[int, ...]) -> None:
        for pieces in request:
            await self.fill(pieces)

    @transaction(compensation=None)
    async def fill(self, tx: Transaction, pieces: int) -> None:
        await tx.decide(shelves, "a", fill, pieces)


@pytest.fixture(autouse=True)
def mended() -> Iterator[None]:
    broken.clear()
    yield
    broken.clear()


async def test_a_crash_leaves_each_event_in_a_row_once() -> None:
    for commit in range(1, 5):
        for landed in (False, True):
            simulation = Simulation()
            simulation.crash(at=commit, landed=landed)
            await simulation.run(FillShelves(), (3, 4))
            assert await simulation.rows(board) == {"a": Shelf("a", 7, 2)}
            assert await simulation.rows(now) == {"a": Shelf("a", 7, 2)}


async def test_rows_go_on_with_the_saga() -> None:
    simulation = Simulation()
    assert await simulation.rows(board) == {}
    await simulation.run(FillShelves(), (3,), id="one")
    assert await simulation.rows(board) == {"a": Shelf("a", 3, 1)}
    await simulation.run(FillShelves(), (4,), id="two")
    assert await simulation.rows(board) == {"a": Shelf("a", 7, 2)}
    assert (await simulation.rows(colours))["red"].price == Decimal("3.00")


async def test_another_version_is_made_of_all_events() -> None:
    simulation = Simulation()
    await simulation.run(FillShelves(), (3, 9))
    assert await simulation.rows(board) == {"a": Shelf("a", 12, 2)}
    assert await simulation.rows(wide) == {"a": WideShelf("a", 12, True)}
    assert await simulation.rows(board) == {"a": Shelf("a", 12, 2)}


async def test_a_live_read_model_is_folded() -> None:
    simulation = Simulation()
    await simulation.run(FillShelves(), (3,))
    assert await simulation.rows(replace(now, name="contract_folded", mode="live")) == {"a": Shelf("a", 3, 1)}


async def test_an_event_that_cannot_be_applied_fails_the_test() -> None:
    broken.add(13)
    simulation = Simulation()
    await simulation.run(FillShelves(), (3, 13))
    with pytest.raises(AssertionError, match="version 2 of shelf-a: ValueError: 13 pieces cannot be"):
        await simulation.rows(board)
