"""Sagas in memory keep every promise that sagas in Postgres keep."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL

from app.amends.store.events.postgres_events import PostgresEvents
from tests.amends.contracts.saga_contract import EXECUTOR, TYPE, CommitContract, StartContract, Store
from tests.amends.contracts.saga_queue_contract import ExecutorContract, MigrationContract, QueueContract
from tests.amends.contracts.saga_signals_contract import FamilyContract, SignalContract
from tests.amends.store.harness.sagas import store
from workflows.amends.simulation.memory.sagas import MemorySagas


class SagasContract(
    StartContract, CommitContract, SignalContract, FamilyContract, ExecutorContract, QueueContract, MigrationContract
):
    """All of it."""


class TestInMemory(SagasContract):
    @pytest.fixture
    async def it(self) -> Store:
        sagas = MemorySagas()
        await sagas.register_executor(EXECUTOR, "here", 1, 1.0, [TYPE], 3600.0)
        return Store(sagas, sagas.events)


class TestInPostgres(SagasContract):
    @pytest.fixture
    async def it(self, database: URL) -> AsyncIterator[Store]:
        async with store(database) as made:
            await made.sagas.register_executor(EXECUTOR, "here", 1, 1.0, [TYPE], 3600.0)
            yield Store(made.sagas, PostgresEvents(made.writer, made.reader))
