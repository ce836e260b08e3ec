"""Connections to the database: how they are made, what they may wait for, and what is wrong with a URL."""

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
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.store.sqlstates import spoils, sqlstate
from domain.errors import Unusable

T = TypeVar("T")

OLDEST = 150000
"""The oldest server that is supported, as Postgres numbers its versions."""

#: No statement and no lock is waited for longer than this, and a dead peer is noticed.
LIMITS = {
    "statement_timeout": "15s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "15s",
}
FORMATS = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "quote_all_identifiers": "off",
    "client_encoding": "UTF8",
}
"""How values travel, whatever the database, its roles and a URL set: they are read as this says."""
AS_ASKED = """
select current_setting('server_encoding'), current_setting('client_encoding'), current_setting('timezone'),
       split_part(current_setting('datestyle'), ',', 1), pg_is_in_recovery()
"""
SHORTEST_WAIT = 0.01
"""Seconds for which a connection of a pool is waited for by somebody who has no time left."""
RECONNECT_SECONDS = 2.0
"""For how long a pool tries to replace a connection by itself, more and more rarely; after that, whenever it is asked
for one: so it is back as soon as the database is."""
WIRE: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


EXAMPLE = "It looks like postgresql://user:password@host:5432/database."


def parse_url(text: str, setting: str = "DATABASE_URL") -> URL:
    """A database URL, checked; its password stands in its place, not in the query.

    Raises Unusable without showing any of it.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        url = None
    except ValueError:
        raise _wrong(setting, "its port is not a number") from None
    if url is None or url.get_backend_name() not in ("postgresql", "postgres") or (not url.host and not url.query):
        raise Unusable(f"{setting} is not the URL of a Postgres database.", EXAMPLE)
    if found := _problem(text, url):
        raise _wrong(setting, found)
    password = url.query.get("password")
    if password is not None:  # where every library looks for it, and none shows it
        last = password if isinstance(password, str) else password[-1]
        url = url.difference_update_query(["password"]).set(password=last)
    return url.set(drivername="postgresql")


def _problem(text: str, url: URL) -> str | None:
    """What is wrong with a URL that could be parsed."""
    rest = [part for value in url.query.values() for part in ([value] if isinstance(value, str) else value)]
    parts = [str(part) for part in (url.username, url.password, url.host, url.database, *url.query, *rest) if part]
    if any(not letter.isprintable() for letter in "".join(parts)):
        return "it holds a character that cannot be printed"
    if url.password is not None and "@" in text.partition("://")[2].partition(":")[2].partition("@")[2]:
        return "an @ in its password is written as %40"
    given = url.query.get("port", ())
    ports = [port for text in ([given] if isinstance(given, str) else given) for port in text.split(",") if port]
    if url.port is not None:
        ports.append(str(url.port))
    if not all(port.isascii() and port.isdecimal() for port in ports):
        return "its port is not a number"
    if not all(0 < int(port) < 65536 for port in ports):
        return "its port is not one of 1 to 65535"
    return None


def _wrong(setting: str, what: str) -> Unusable:
    return Unusable(f"{setting} is wrong: {what}.", EXAMPLE)


def conninfo(url: URL) -> str:
    """The URL as libpq wants it, password included: not for logs. It takes no other spaces than encoded ones."""
    place, mark, query = url.render_as_string(hide_password=False).partition("?")
    return place.replace(" ", "%20") + mark + query.replace("+", "%20")


def settings(url: URL, purpose: str, **limits: str) -> dict[str, Any]:
    """Keyword arguments of psycopg.connect; `purpose` is what pg_stat_activity shows. The URL's own limits stay."""
    options = _options(LIMITS | limits, url)
    encoding = FORMATS["client_encoding"]  # a variable of the environment would be stronger than an option
    return WIRE | {
        "application_name": f"amends {purpose}",
        "options": options,
        "client_encoding": encoding,
        "autocommit": True,
    }


def formatted(url: URL) -> URL:
    """The URL for connections that others make: values travel as on ours."""
    return url.update_query_dict({"options": _options({}, url), "client_encoding": FORMATS["client_encoding"]})


def _options(limits: dict[str, str], url: URL) -> str:
    given = url.query.get("options", ())
    before, after = ([f"-c {name}={value}" for name, value in part.items()] for part in (limits, FORMATS))
    return " ".join([*before, *([given] if isinstance(given, str) else given), *after])


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


def require_usable(url: URL) -> None:
    """Connect once and look at the server. Raises Unusable with what is wrong and what to do."""
    try:
        with psycopg.connect(conninfo(url), **settings(url, "check")) as connection:
            version = connection.info.server_version
            row = connection.execute(AS_ASKED).fetchone()
            assert row is not None
            encoding, *formats, recovering = row
    except psycopg.Error as error:
        said = str(error).strip().splitlines()[-1]
        raise Unusable(
            f"The database does not let us in: {said}", f"Check DATABASE_URL ({url.set(query={})})."
        ) from error
    if version < OLDEST:
        raise Unusable(f"The database is Postgres {version // 10000}.", "Amends needs Postgres 15 or newer.")
    if recovering:
        raise Unusable("The database is a standby and cannot be written to.", "Point DATABASE_URL to the primary.")
    if encoding != "UTF8":
        raise Unusable(
            f"The database's encoding is {encoding}, which does not hold every text.",
            "Create one with: create database … encoding 'UTF8' template template0.",
        )
    if formats != (asked := [FORMATS[name] for name in ("client_encoding", "timezone", "datestyle")]):
        raise Unusable(
            f"Sessions of the database come with {', '.join(formats)} instead of {', '.join(asked)}.",
            "Unset PGTZ and PGDATESTYLE, and let a pooler pass the options of a connection on.",
        )
