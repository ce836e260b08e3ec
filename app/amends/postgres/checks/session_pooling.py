"""Checks that sessions are kept: a pooler may spread their transactions over several, and drop their settings.

Locks, a role, and time limits belong to a session. A pooler that changes the server's process behind it between two
transactions loses them without a word, and a lone session does not show it: it is given the same process each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from app.amends.postgres.sqlstates import Sqlstate, sqlstate
from domain.amends.errors import StartupError

ROUNDS: Final = 2
AS_SET: Final = "select current_setting(%s), set_config(%s, %s, true)"
"""The setting of a session, and the value that it would have if it were set: both as Postgres writes them."""


async def require_own_server_process(sessions: Sequence[AsyncConnection[TupleRow]]) -> None:
    """Require that each session has a process of the server to itself. Raises StartupError.

    Each is asked in turn, then again while another one is in a transaction.
    """
    seen = [await _processes(sessions) for _ in range(ROUNDS)]
    _require_same(seen)  # before a transaction may leave nothing for the others
    for each in sessions:
        try:
            async with each.transaction():
                await each.execute("select 1")
                seen.append(await _processes(sessions))
        except psycopg.Error as error:
            if sqlstate(error) != Sqlstate.PROTOCOL_VIOLATION:
                raise
            raise _not_kept() from error  # no transactions at all: pool_mode = statement
    _require_same(seen)


async def require_session_settings(session: AsyncConnection[TupleRow], wanted: Mapping[str, str]) -> None:
    """Require that a session has the settings that it was opened with: formats, limits, and a role. Raises
    StartupError."""
    wrong: dict[str, str] = {}
    differences = []
    async with session.transaction(force_rollback=True):
        for name, value in wanted.items():
            row = await (await session.execute(AS_SET, (name, name, value))).fetchone()
            assert row is not None
            if row[0] != row[1]:
                wrong[name] = value
                differences.append(f"{name} is {row[0]} instead of {row[1]}")
    if wrong:
        user = psycopg.sql.Identifier(session.info.user).as_string()
        sets = "; ".join(f"alter role {user} set {name} = '{value}'" for name, value in wrong.items())
        raise StartupError(
            f"Sessions of the database do not come as they are asked for: {', '.join(differences)}.",
            "Unset PGTZ and PGDATESTYLE. If a pooler keeps the options of sessions to itself, set them for the login, "
            f"and let the pooler connect anew: {sets}.",
        )


async def _processes(sessions: Sequence[AsyncConnection[TupleRow]]) -> list[Any]:
    found = []
    for each in sessions:
        row = await (await each.execute("select pg_backend_pid()")).fetchone()
        found.append(row and row[0])
    return found


def _require_same(seen: Sequence[Sequence[Any]]) -> None:
    if len(set(seen[0])) < len(seen[0]) or any(each != seen[0] for each in seen):
        raise _not_kept()


def _not_kept() -> StartupError:
    return StartupError(
        "A pooler stands before the database and does not keep sessions: locks, roles and time limits would be lost.",
        "Set pool_mode = session for this database or login in pgbouncer.ini, or connect to Postgres itself.",
    )
