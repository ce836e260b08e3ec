"""The store in memory and the one in Postgres answer alike, and hold the same, whatever is asked of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL

from tests.amends.contracts.differential.history import History, Outcomes
from tests.amends.contracts.differential.postgres import PostgresSide, postgres
from tests.amends.contracts.differential.seeds import compare_seeds
from tests.amends.contracts.differential.shrinking import LENGTH, require_same
from workflows.amends.ports.event_store import EventStore
from workflows.amends.ports.executors import Leases
from workflows.amends.ports.saga_store import SagaStore

FIRST, OPERATIONS, MOST = 7, 1000, 20
"""With which seed it begins, how many operations there are at least, and how many seeds at most."""
SOAK_SECONDS = 1800.0


@pytest.fixture
async def side(database: URL) -> AsyncIterator[PostgresSide]:
    async with postgres(database) as made:
        yield made


@pytest.mark.parametrize("database", ["postgres_18"], indirect=True)
@pytest.mark.timeout(900)
async def test_memory_and_postgres_agree_after_every_operation(side: PostgresSide) -> None:
    outcomes, carried_out = Outcomes(), 0
    for seed in range(FIRST, FIRST + MOST):
        if carried_out >= OPERATIONS and not outcomes.missing():
            break
        await require_same(side, seed, outcomes)
        carried_out += LENGTH
    assert not outcomes.missing()


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_memory_and_postgres_agree_for_half_an_hour(side: PostgresSide) -> None:
    await compare_seeds(lambda seed: require_same(side, seed, Outcomes()), None, SOAK_SECONDS)


async def test_every_method_of_the_ports_is_drawn() -> None:
    """One that is added to a port must be compared too."""
    drawn = {operation.method for seed in range(8) for operation, _ in await History(seed, LENGTH).drawn()}
    ports = {"sagas": SagaStore, "leases": Leases, "events": EventStore}
    methods = {f"{name}.{each}" for name, port in ports.items() for each in dir(port) if not each.startswith("_")}
    assert methods <= drawn
