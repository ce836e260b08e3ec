"""Reads, repeated while the database is away, and transactions with several statements."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import AsyncRowFactory, TupleRow, dict_row, tuple_row

from app.amends.postgres.connections.pool import SHORTEST_WAIT, Pool, borrowed_connection, detached_task, read_once
from app.amends.postgres.connections.sessions import Session
from app.amends.postgres.connections.watch import DatabaseWatch
from app.amends.postgres.sqlstates import Verdict, log_text, verdict
from app.amends.postgres.statements.committer import Parameters
from app.amends.postgres.statements.resending import Resending, Unsettled, deadline_after, enter_transaction
from domain.amends.errors import Unavailable

log = logging.getLogger("amends.store")

Row = TypeVar("Row")

COMMIT_SECONDS = 2.0
"""How long a commit is waited for at least, however long the transaction took."""
LEFT_FOR_READS = 2
"""Connections of the pool that are kept for reads."""
MOMENT = 0.25
"""How long a read waits for a database that is known to be away, in seconds."""


class Reader:
    """The reads of one process, on a pool of connections."""

    def __init__(self, pool: Pool, database: DatabaseWatch | None = None) -> None:
        self.pool, self._database = pool, database
        self._writing = asyncio.Semaphore(max(2, pool.max_size - LEFT_FOR_READS))

    @asynccontextmanager
    async def connection(self, until: float | None = None) -> AsyncIterator[AsyncConnection[TupleRow]]:
        """A connection of the pool to write with; one that an error has spoilt is not reused.

        Some connections are kept for reads: a commit may wait for a standby for long. Raises NotWritable.
        """
        async with asyncio.timeout(None if until is None else max(until - time.monotonic(), SHORTEST_WAIT)):
            await self._writing.acquire()
        try:
            async with borrowed_connection(self.pool, until) as connection:
                if isinstance(connection, Session):
                    await connection.note_server_run()
                yield connection
        finally:
            self._writing.release()

    async def rows(
        self, statement: str, parameters: Parameters, patience: float | None = 10.0, anew: bool = False
    ) -> list[dict[str, Any]]:
        """The rows of a read, by column.

        It is repeated until the database answers. Raises Unavailable after `patience` seconds (None waits for ever), or
        almost at once while the database is known to be away; Contended after as many tries as its errors allow
        (app.amends.postgres.sqlstates), and errors that never pass as they are.
        """
        return await self._ask(statement, parameters, patience, dict_row, anew=anew)

    async def tuples(
        self,
        statement: str,
        parameters: Parameters,
        patience: float | None = 10.0,
        ours: bool = True,
        anew: bool = False,
    ) -> list[TupleRow]:
        """The same as plain tuples, which cost less. A statement with names from a request is not `ours`.

        With `anew` it is planned each time, for its values: the generic plan, which Postgres prefers for a prepared
        statement after a while, would read a large part of the feed for a frequent value.
        """
        return await self._ask(statement, parameters, patience, tuple_row, ours, anew)

    async def row(self, statement: str, parameters: Parameters, patience: float | None = 10.0) -> dict[str, Any] | None:
        """The first row of a read, or None."""
        rows = await self.rows(statement, parameters, patience)
        return rows[0] if rows else None

    @asynccontextmanager
    async def transaction(self, patience: float = 10.0) -> AsyncIterator[AsyncConnection[TupleRow]]:
        """A transaction; it begins within `patience` seconds.

        Raises Unavailable if it cannot, if a lock takes too long, and if the database goes away before the commit; and
        Unsettled if the commit waits, as for a standby, or its answer is lost: it may be carried out or not.
        """
        began, stack = time.monotonic(), AsyncExitStack()
        try:
            async with AsyncExitStack() as undoing:
                opening = partial(self._transaction, began + patience)
                yield await enter_transaction(undoing, "The begin of a transaction", began + patience, opening)
                stack.push_async_exit(undoing.pop_all())
            committing = detached_task(stack.aclose())
            await asyncio.wait({committing}, timeout=max(began + patience - time.monotonic(), COMMIT_SECONDS))
            if not committing.done():
                raise Unsettled(round(time.monotonic() - began, 1))
            try:
                committing.result()
            except (psycopg.OperationalError, OSError) as lost:
                raise Unsettled(round(time.monotonic() - began, 1)) from lost
        except (psycopg.Error, OSError) as error:
            found = verdict(error, ours=True)
            if found is Verdict.NEVER:
                raise
            if found.is_alarming:
                log.error("A transaction is not carried out: %s", log_text(error, found))
            raise Unavailable(round(time.monotonic() - began, 1)) from error

    @asynccontextmanager
    async def _transaction(self, until: float) -> AsyncIterator[AsyncConnection[TupleRow]]:
        async with self.connection(until) as connection, connection.transaction():
            yield connection

    async def _ask(
        self,
        statement: str,
        parameters: Parameters,
        patience: float | None,
        rows: AsyncRowFactory[Row],
        ours: bool = True,
        anew: bool = False,
    ) -> list[Row]:
        async def ask(connection: AsyncConnection[TupleRow]) -> list[Row]:
            cursor = connection.cursor(row_factory=rows)
            await cursor.execute(statement, parameters, prepare=False if anew else None)
            return await cursor.fetchall()

        async def attempt() -> list[Row]:
            if patience is not None:
                await self._require_there()
            try:
                return await read_once(self.pool, until, ask)
            except (psycopg.Error, OSError) as error:
                if self._database and verdict(error, ours) is Verdict.AWAY:
                    await self._database.ask_problem()
                raise

        until = deadline_after(patience)
        return await Resending("A read", until, ours=ours).until_answered(attempt)

    async def _require_there(self) -> None:
        """Raise Unavailable almost at once while the database is known to be away: the caller may ask again."""
        if self._database and self._database.away and not await self._database.wait_until_back(MOMENT):
            raise Unavailable(round(self._database.seconds_away, 1))
