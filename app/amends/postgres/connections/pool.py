"""Pools of connections: opened, borrowed and given back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from math import inf
from typing import Any, Final, TypeVar

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy.engine import URL

from app.amends.postgres.connections.sessions import Session, SessionGuard, cut_connection
from app.amends.postgres.urls import connection_settings, conninfo

T = TypeVar("T")

READ_SECONDS = 20.0
"""How long a read may take. A server that works ends a slow one earlier (LIMITS), with an error."""
GLANCE_SECONDS = 2.0
"""How long a connection of a pool is waited for before it is checked whether the database is away."""
SHORTEST_WAIT = 0.01
"""How long a connection of a pool is waited for by a caller that has no time left."""
RECONNECT_SECONDS = 2.0
"""How long a pool tries to replace a connection by itself, more and more rarely; after that it tries whenever one is
requested, so that it is back as soon as the database is."""


async def connect(url: URL, purpose: str, **limits: str) -> Session:
    """One connection in autocommit mode whose statements are prepared at their first use."""
    return await Session.connect(conninfo(url), prepare_threshold=0, **connection_settings(url, purpose, **limits))


class Pool(AsyncConnectionPool[AsyncConnection[TupleRow]]):
    """Connections for reads and for transactions with SQL of their own; open it before use.

    `prepare` is how often a statement runs before it is prepared; None is never.
    """

    def __init__(self, url: URL, size: int, purpose: str = "reader", prepare: int | None = 0) -> None:
        wanted = url.query.get("target_session_attrs", "primary")  # a standby would show what was some time ago
        super().__init__(
            conninfo(url),
            connection_class=Session,
            min_size=1,
            max_size=size,
            timeout=15,
            reconnect_timeout=RECONNECT_SECONDS,
            open=False,
            kwargs=connection_settings(url, purpose) | {"prepare_threshold": prepare, "target_session_attrs": wanted},
        )
        self._used = set[AsyncConnection[TupleRow]]()
        self.reading = set[AsyncConnection[TupleRow]]()
        self.is_away: Callable[[], bool] = lambda: False
        """Whether the database is known to be away: connections are not waited for then."""

    async def take(self, until: float | None) -> AsyncConnection[TupleRow]:
        """A connection, waited for until `until` at most; None waits as long as the pool does.

        Raises PoolTimeout, and that sooner while the database is away.
        """
        until = min(time.monotonic() + self.timeout, until or inf)
        while True:
            patience = max(until - time.monotonic(), SHORTEST_WAIT)
            try:
                connection = await self.getconn(min(patience, GLANCE_SECONDS))
            except PoolTimeout:
                if patience <= GLANCE_SECONDS or self.is_away():
                    raise
            else:
                self._used.add(connection)
                return connection

    async def give_back(self, connection: AsyncConnection[TupleRow]) -> None:
        """Give back a connection that was taken."""
        self._used.discard(connection)
        await self.putconn(connection)

    async def fail_reads(self) -> None:
        """The server is silent: reads that are under way fail at once."""
        for connection in tuple(self.reading):
            cut_connection(connection)

    async def discard_connections(self) -> None:
        """Another run of the server answers: connections from before are closed."""
        for connection in tuple(self._used):
            cut_connection(connection)
        await self.drain()


@asynccontextmanager
async def borrowed_connection(pool: Pool, until: float | None = None) -> AsyncIterator[AsyncConnection[TupleRow]]:
    """A connection of a pool; one that an error has spoilt is not reused. It is waited for until `until` at most.

    It is given back however its borrower ends. A task that anyio cancels is cancelled again at each await, also at
    those of its cleaning up: so taking and giving back are tasks of their own, which are never cancelled.
    """
    taking = detached_task(pool.take(until))
    try:
        connection = await asyncio.shield(taking)
    except asyncio.CancelledError:
        taking.add_done_callback(partial(_give_back, pool))
        raise
    try:
        async with SessionGuard(connection):
            yield connection
    finally:
        await asyncio.shield(detached_task(pool.give_back(connection)))


async def read_once(pool: Pool, until: float | None, ask: Callable[[AsyncConnection[TupleRow]], Awaitable[T]]) -> T:
    """The result of one read on a connection of a pool. The read ends, and gives its connection back, although its
    caller may be cancelled. A server that does not end it in time, as it should, is cut off."""

    async def read() -> T:
        connection = await pool.take(until)
        pool.reading.add(connection)
        overdue = asyncio.get_running_loop().call_later(READ_SECONDS, cut_connection, connection)
        try:
            async with SessionGuard(connection):
                return await ask(connection)
        finally:
            overdue.cancel()
            pool.reading.discard(connection)
            await pool.give_back(connection)

    return await asyncio.shield(detached_task(read()))


_going_on: Final = set[asyncio.Task[Any]]()
"""Detached tasks: the event loop alone would not keep them."""


def detached_task(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task that goes on also if its caller does not wait for it any more."""
    task = asyncio.get_running_loop().create_task(work, name="a connection is used")
    _going_on.add(task)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[Any]) -> None:
    _going_on.discard(task)
    if not task.cancelled():
        task.exception()  # whoever asked may have gone, and nobody else wants to know


def _give_back(pool: Pool, taken: asyncio.Task[AsyncConnection[TupleRow]]) -> None:
    """Give back a connection whose borrower was cancelled before it came."""
    if not taken.cancelled() and taken.exception() is None:
        _ = detached_task(pool.give_back(taken.result()))
