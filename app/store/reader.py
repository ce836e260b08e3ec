"""Reads, asked again while the database is away, and transactions with SQL of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import AsyncRowFactory, TupleRow, dict_row, tuple_row
from psycopg_pool import AsyncConnectionPool

from app.store.committer import Parameters, Unavailable

FIRST_WAIT, LONGEST_WAIT = 0.05, 1.0
Row = TypeVar("Row")


class Reader:
    """Reads for one process, on a pool of connections."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[TupleRow]]) -> None:
        self.pool = pool

    async def rows(self, statement: str, parameters: Parameters, patience: float | None = 10.0) -> list[dict[str, Any]]:
        """The rows of a read, by column. Raises Unavailable after `patience` seconds; None waits for ever."""
        return await self._ask(statement, parameters, patience, dict_row)

    async def tuples(self, statement: str, parameters: Parameters, patience: float | None = 10.0) -> list[TupleRow]:
        """The same as plain tuples, which cost less."""
        return await self._ask(statement, parameters, patience, tuple_row)

    async def row(self, statement: str, parameters: Parameters, patience: float | None = 10.0) -> dict[str, Any] | None:
        """The first row of a read, or None."""
        rows = await self.rows(statement, parameters, patience)
        return rows[0] if rows else None

    @asynccontextmanager
    async def transaction(self, patience: float = 10.0) -> AsyncIterator[AsyncConnection[TupleRow]]:
        """A transaction; it begins within `patience` seconds.

        Raises Unavailable if it cannot, if a lock takes too long, and if the database goes away later: then it may have
        been committed or not.
        """
        began = time.monotonic()
        try:
            async with AsyncExitStack() as stack:
                yield await self._begin(stack, began + patience)
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as lost:
            raise Unavailable(round(time.monotonic() - began, 1)) from lost

    async def _begin(self, stack: AsyncExitStack, until: float) -> AsyncConnection[TupleRow]:
        """Begin on a connection that works; those that a restart of the database has cut are still in the pool."""
        wait = FIRST_WAIT
        while True:
            try:
                async with AsyncExitStack() as opening:
                    connection = await opening.enter_async_context(self.pool.connection())
                    await opening.enter_async_context(connection.transaction())
                    stack.push_async_exit(opening.pop_all())
                    return connection
            except (psycopg.OperationalError, psycopg.InterfaceError, OSError):
                if time.monotonic() + wait > until:
                    raise
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    async def _ask(
        self, statement: str, parameters: Parameters, patience: float | None, rows: AsyncRowFactory[Row]
    ) -> list[Row]:
        began, wait = time.monotonic(), FIRST_WAIT
        while True:
            try:
                async with self.pool.connection() as connection, connection.cursor(row_factory=rows) as cursor:
                    await cursor.execute(statement, parameters)
                    return await cursor.fetchall()
            except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
                passed = time.monotonic() - began
                if patience is not None and passed + wait > patience:
                    raise Unavailable(round(passed, 1)) from error
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)
