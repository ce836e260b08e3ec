"""The stores of read models in memory and in Postgres answer alike, and hold the same, whatever is asked of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL

from tests.amends.contracts.differential.seeds import compare_seeds
from tests.amends.contracts.projections.history import Outcomes, require_same
from tests.amends.contracts.projections.sides import Side, postgres

FIRST, LENGTH, SEEDS, MOST = 4711, 100, 3, 20
"""With which seed it begins, how many operations a seed has, and how many seeds there are at least and at most."""
SOAK_SECONDS = 900.0


@pytest.fixture
async def side(database: URL) -> AsyncIterator[Side]:
    async with postgres(database) as made:
        yield made


@pytest.mark.parametrize("database", ["postgres_18"], indirect=True)
@pytest.mark.timeout(900)
async def test_memory_and_postgres_agree_after_every_operation(side: Side) -> None:
    outcomes = Outcomes()
    for seed in range(FIRST, FIRST + MOST):
        if seed >= FIRST + SEEDS and not outcomes.missing():
            break
        await require_same(side, seed, LENGTH, outcomes)
    assert not outcomes.missing()


@pytest.mark.soak
async def test_memory_and_postgres_agree_for_a_quarter_of_an_hour(side: Side) -> None:
    await compare_seeds(lambda seed: require_same(side, seed, LENGTH, Outcomes()), None, SOAK_SECONDS)
