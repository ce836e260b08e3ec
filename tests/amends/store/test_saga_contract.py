"""Sagas in memory keep every promise that sagas in Postgres keep."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL

from tests.amends.store.saga_contract import EXECUTOR, TYPE, CommitContract, StartContract
from tests.amends.store.saga_signals_contract import FamilyContract, SignalContract
from tests.amends.store.sagas import store
from workflows.amends.ports.saga_store import Sagas
from workflows.amends.simulation.memory_sagas import MemorySagas


class SagasContract(StartContract, CommitContract, SignalContract, FamilyContract):
    """All of it."""


class TestInMemory(SagasContract):
    @pytest.fixture
    def sagas(self) -> Sagas:
        return MemorySagas()


class TestInPostgres(SagasContract):
    @pytest.fixture
    async def sagas(self, database: URL) -> AsyncIterator[Sagas]:
        async with store(database) as it:
            await it.sagas.register(EXECUTOR, "here", 1, 1.0, [TYPE], 3600.0)
            yield it.sagas
