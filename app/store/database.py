"""Connections to the database: how they are made, borrowed and given back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Final, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool
from sqlalchemy.engine import URL

from app.store.sqlstates import spoils, sqlstate
from app.store.urls import conninfo, settings

T = TypeVar("T")

SHORTEST_WAIT = 0.01
"""Seconds for which a connection of a pool is waited for by somebody who has no time left."""
RECONNECT_SECONDS = 2.0
"""For how long a pool tries to replace a connection by itself, more and more rarely; after that, whenever it is asked
for one: so it is back as soon as the database is."""


async def connect(url: URL, purpose: str, **limits: str) -> AsyncConnection[TupleRow]:
    """One connection in autocommit mode whose statements are prepared at their first use."""
    return await AsyncConnection.connect(conninfo(url), prepare_threshold=0, **settings(url, purpose, **limits))


def pool(url: URL, size: int) -> AsyncConnectionPool[AsyncConnection[TupleRow]]:
    """Connections for reads and for transactions with SQL of their own; open it before use."""
    return AsyncConnectionPool(
        conninfo(url),
        min_size=1,
        max_size=size,
        timeout=15,
        reconnect_timeout=RECONNECT_SECONDS,
        open=False,
        kwargs=settings(url, "reader") | {"prepare_threshold": 0},
    )


@asynccontextmanager
async def borrowed(
    pool: AsyncConnectionPool[AsyncConnection[TupleRow]], until: float | None = None
) -> AsyncIterator[AsyncConnection[TupleRow]]:
    """A connection of a pool; one that an error has spoilt does not go back. It is waited for until `until` at most.

    It is given back however its borrower ends. Whoever is cancelled by anyio is cancelled again at each await, also at
    those of its cleaning up: so taking and giving back are tasks of their own, which nobody cancels.
    """
    taking = unheard(pool.getconn(_patience(pool, until)))
    try:
        connection = await asyncio.shield(taking)
    except asyncio.CancelledError:
        taking.add_done_callback(partial(_give_back, pool))
        raise
    try:
        async with Guarded(connection):
            yield connection
    finally:
        await asyncio.shield(unheard(pool.putconn(connection)))


async def asked(
    pool: AsyncConnectionPool[AsyncConnection[TupleRow]],
    until: float | None,
    ask: Callable[[AsyncConnection[TupleRow]], Awaitable[T]],
) -> T:
    """What a single read on a connection of a pool comes to: it ends, and gives back its connection as good as it was,
    although whoever asked may be cancelled."""

    async def read() -> T:
        async with pool.connection(_patience(pool, until)) as connection, Guarded(connection):
            return await ask(connection)

    return await asyncio.shield(unheard(read()))


def _patience(pool: AsyncConnectionPool[AsyncConnection[TupleRow]], until: float | None) -> float:
    return pool.timeout if until is None else min(pool.timeout, max(until - time.monotonic(), SHORTEST_WAIT))


_going_on: Final = set[asyncio.Task[Any]]()
"""What nobody may wait for any more; the event loop alone would not keep it."""


def unheard(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task that goes on, also if nobody waits for it any more."""
    task = asyncio.get_running_loop().create_task(work, name="a connection is used")
    _going_on.add(task)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[Any]) -> None:
    _going_on.discard(task)
    if not task.cancelled():
        task.exception()  # whoever asked may have gone, and nobody else wants to know


def _give_back(
    pool: AsyncConnectionPool[AsyncConnection[TupleRow]], taken: asyncio.Task[AsyncConnection[TupleRow]]
) -> None:
    """Nobody waits any more for a connection that was asked for."""
    if not taken.cancelled() and taken.exception() is None:
        unheard(pool.putconn(taken.result()))


class Guarded:
    """Closes a connection that an error has spoilt: the next try is made on another one.

    An error that comes from this side while the connection stands is about the statement, such as too many parameters:
    psycopg raises it as if the connection were lost, and it is raised as a ProgrammingError here.
    """

    def __init__(self, connection: AsyncConnection[TupleRow]) -> None:
        self._connection = connection

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, psycopg.Error):
            return
        if spoils(error):
            await self._connection.close()
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        if lost and sqlstate(error) is None and not self._connection.closed:
            raise psycopg.ProgrammingError(str(error)) from error
