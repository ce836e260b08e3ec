"""A connection goes back to its pool however its borrower ends, also if that is cancelled at each await."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from sqlalchemy import URL

from app.amends.postgres.connections.pool import Pool, borrowed_connection
from app.amends.postgres.statements.reader import Reader

SIZE = 3


async def a_read(reader: Reader) -> None:
    await reader.rows("select pg_sleep(0.002)", ())


async def a_transaction(reader: Reader) -> None:
    async with reader.transaction() as connection:
        await connection.execute("select pg_sleep(0.002)")


async def a_connection(reader: Reader) -> None:
    async with reader.connection() as connection, connection.transaction():
        await connection.execute("select pg_sleep(0.002)")


@pytest.mark.parametrize("way", [a_read, a_transaction, a_connection], ids=lambda way: way.__name__)
async def test_it_goes_back_when_many_clients_are_cancelled_again_and_again(database_18: URL, way: Any) -> None:
    async with Pool(database_18, SIZE) as readers:
        reader = Reader(readers)

        async def client(number: int) -> None:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:

                    async def leave() -> None:
                        await anyio.sleep(0.0005 * (number % 17))
                        scope.cancel()

                    group.start_soon(leave)
                    await way(reader)

        for _ in range(20):
            await asyncio.gather(*(client(number) for number in range(60)))
        assert way is not a_read or not readers.get_stats().get("returns_bad"), "a read ends, and spoils nothing"
        async with (
            asyncio.timeout(20),
            borrowed_connection(readers),
            borrowed_connection(readers),
            borrowed_connection(readers),
        ):
            assert readers.get_stats()["pool_size"] == SIZE
