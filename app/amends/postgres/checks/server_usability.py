"""Checks that a database can be used, before anything is done with it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from threading import Thread
from typing import Final

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from sqlalchemy.engine import URL

from app.amends.postgres.checks.durability import warn_of_doubts
from app.amends.postgres.checks.session_pooling import require_own_server_process, require_session_settings
from app.amends.postgres.sqlstates import Sqlstate, message_of, sqlstate
from app.amends.postgres.urls import connection_settings, conninfo, redacted_url, session_settings
from domain.amends.errors import NotYet, StartupError

OLDEST = 150000
"""The oldest server that is supported, as Postgres numbers its versions."""
TOGETHER: Final = 3
"""Sessions that are checked at the same time: of a pooler of two processes, two of them are in the same one."""
ANSWER_SECONDS: Final = 30.0
"""How long all checks may take; the wait for each of several hosts is part of it."""

FOR_GOOD: Final = re.compile(
    r"authentication failed|no password supplied|does not exist|not permitted to log in|permission denied|pg_hba\.conf"
    r"|support SSL|certificate|unrecognized configuration parameter|invalid (port|connection option|integer|sslmode)"
)
"""Texts of errors that waiting does not mend. An error of a connection that does not come about has no SQLSTATE; one in
another language is waited for like a database that is away."""

MISSING: Final = re.compile(r'database "[^"]*" does not exist')

AS_ASKED = "select current_setting('server_encoding'), pg_is_in_recovery(), current_setting('transaction_read_only')"


def require_usable_server(url: URL) -> None:
    """Check the server, and poolers before it. Raises StartupError with the problem and the remedy."""
    _ask(url, _look, TOGETHER)


def require_role_and_limits(url: URL) -> URL:
    """Require that sessions have the role and the limits of this URL; returns it.

    Other doubts about the server are logged as warnings. Raises StartupError.
    """
    require_usable_quietly(url)
    _ask(url, lambda sessions: warn_of_doubts(sessions[0]), 1)
    return url


def require_usable_quietly(url: URL) -> None:
    """Require the same without warnings. Raises StartupError."""
    _ask(url, lambda sessions: require_session_settings(sessions[0], session_settings(url)), 1)


def _ask(url: URL, look: Callable[[list[AsyncConnection[TupleRow]]], Awaitable[None]], count: int) -> None:
    """Check so many sessions at the same time, in a thread of its own: there may be an event loop in this one.

    A process that is asked to stop meanwhile does not wait for a database that stands still.
    """
    answer = Future[None]()

    def ask() -> None:
        try:
            answer.set_result(asyncio.run(_asked(url, look, count)))
        except BaseException as error:
            answer.set_exception(error)

    Thread(target=ask, name="asks the database", daemon=True).start()
    answer.result()


async def _asked(url: URL, look: Callable[[list[AsyncConnection[TupleRow]]], Awaitable[None]], count: int) -> None:
    sessions: list[AsyncConnection[TupleRow]] = []
    answered: list[AsyncConnection[TupleRow]] = []

    async def open_one() -> None:
        opened = await AsyncConnection.connect(
            conninfo(url), **connection_settings(url, "check") | {"prepare_threshold": None}
        )
        sessions.append(opened)
        await opened.execute("select 1")
        answered.append(opened)

    async def ask() -> None:
        await asyncio.gather(*(open_one() for _ in range(count)))  # at once: hosts that are away are waited for
        await look(sessions)

    asking = asyncio.create_task(ask())
    await asyncio.wait({asking}, timeout=ANSWER_SECONDS)
    for each in sessions:
        each.pgconn.finish()  # at once: a server that hangs would not hear that it is over
    if not asking.done():
        asking.cancel()
        await asyncio.wait({asking})
        raise _silent(url, len(answered), count)
    try:
        asking.result()
    except psycopg.Error as error:
        raise connection_refused_error(error, url) from error


async def _look(sessions: list[AsyncConnection[TupleRow]]) -> None:
    version = sessions[0].info.server_version
    if version < OLDEST:
        raise StartupError(f"The database is Postgres {version // 10000}.", "Amends needs Postgres 15 or newer.")
    for each in sessions:
        await _require_primary(each)
    await require_own_server_process(sessions)


async def _require_primary(session: AsyncConnection[TupleRow]) -> None:
    row = await (await session.execute(AS_ASKED)).fetchone()
    assert row is not None
    encoding, recovering, read_only = row
    if recovering:
        raise NotYet(
            "The database is a standby and cannot be written to.",
            "Let DATABASE_URL lead to the primary, or name all hosts in it; a pooler must lead every session there.",
        )
    if read_only == "on":
        raise StartupError(
            "The database takes no writes: its sessions are read-only.",
            "See default_transaction_read_only of the server, the database and the role.",
        )
    if encoding != "UTF8":
        raise StartupError(
            f"The database's encoding is {encoding}, which does not hold every text.",
            "Create one with: create database … encoding 'UTF8' template template0.",
        )


def _silent(url: URL, answered: int, count: int) -> StartupError:
    if 0 < answered < count:
        return StartupError(
            f"Of {count} sessions at the same time only {answered} were answered within {ANSWER_SECONDS:.0f} s.",
            "If a pooler stands before the database, give it more connections (default_pool_size).",
        )
    return NotYet(f"The database does not answer within {ANSWER_SECONDS:.0f} s.", f"Look at {redacted_url(url)}.")


def connection_refused_error(error: psycopg.Error, url: URL) -> StartupError:
    """The error for connections that were refused, by each of several hosts; NotYet if that may pass by itself at one
    of them."""
    lines = str(error).strip().splitlines()
    whole = " ".join(str(error).split()).removeprefix("connection failed: ")
    parts = [line[2:] for line in lines if line.startswith("- host: ")] or [whole]
    text = "; ".join(parts)
    if "startup parameter" in text:  # PgBouncer's words, which nobody translates
        return StartupError(
            f"A pooler refuses what sessions are opened with: {text}",
            "Set ignore_startup_parameters = options in pgbouncer.ini, and see docs/how-to/own-postgres.md.",
        )
    kind = StartupError if all(FOR_GOOD.search(part) for part in parts) else NotYet
    create = "Create that database, or check" if MISSING.search(text) else "Check"
    return kind(f"There is no connection to the database: {text}", f"{create} DATABASE_URL ({redacted_url(url)}).")


def startup_error(error: BaseException | None) -> StartupError | None:
    """The error for people, with a remedy, for one that the database raised somewhere below; None for any other
    error."""
    while error is not None and not isinstance(error, psycopg.Error):
        error = error.__cause__
    if error is None:
        return None
    if sqlstate(error) == Sqlstate.INSUFFICIENT_PRIVILEGE:
        return StartupError(
            f"The database does not let its user do that: {message_of(error)}.",
            "Set AMENDS_MIGRATION_URL to the URL of the tables' owner, who migrates and grants the service its rights.",
        )
    if sqlstate(error) in (Sqlstate.INVALID_SCHEMA_NAME, Sqlstate.UNDEFINED_TABLE):
        return StartupError(f"The database lacks what is asked of it: {message_of(error)}.", "./run up migrates it.")
    if isinstance(error, psycopg.OperationalError):
        said = message_of(error).removeprefix("connection failed: ")
        if sqlstate(error) is None and FOR_GOOD.search(said):
            return StartupError(
                f"There is no connection to the database: {said}.", "Check DATABASE_URL; ./run amends doctor looks too."
            )
        return StartupError(
            f"The database cannot do that now: {message_of(error)}.", "./run amends doctor looks at it."
        )
    return None
