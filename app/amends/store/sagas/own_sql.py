"""Transactions with SQL of a step's own, and the reset of their sessions for the next user."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.sqlstates import Sqlstate, Verdict, sqlstate, verdict_by_size
from app.amends.postgres.statements.reader import Reader
from domain.amends.errors import AmendsError

SQL = load_statements(Path(__file__).with_name("own.sql"))
CONTROL = re.compile(
    r"(?:\s|;|--[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)*+"
    r"(commit|end|abort|begin|start\s+transaction|prepare\s+transaction"
    r"|rollback(?!\s+(?:(?:work|transaction)\s+)?to\b))\b",
    re.IGNORECASE,
)
"""A statement that would begin or end a transaction, comments included; a rollback to a savepoint does not."""
RESTORE_SECONDS = 5.0
"""How long the reset may take before the connection is closed instead."""

log = logging.getLogger("amends.store")


class Aborted(AmendsError):
    """An earlier statement of this step has failed, and its transaction with it: {problem}

    A step that wants to go on after an error sets a savepoint before it.
    """

    problem: str


class EndsTransaction(AmendsError):
    """A step's own SQL may neither begin nor end a transaction, its commit does that: {statement!r} is refused."""

    statement: str


@dataclass
class OwnTransaction:
    """A connection in such a transaction; `writable` is whether the transaction was when it began.

    `sets` says that the step has changed its session: an error of Amends' own statements may come from that.
    """

    connection: AsyncConnection[TupleRow]
    writable: bool
    sets: bool = False

    @property
    def is_open(self) -> bool:
        """Whether the transaction has not ended."""
        return self.connection.info.transaction_status is TransactionStatus.INTRANS

    def note_statement(self, sql: str, did: str | None) -> None:
        """Note what one of the step's statements did."""
        self.sets = self.sets or did in ("SET", "RESET") or "set_config" in str(sql).lower()

    def verdict(self, error: BaseException, ours: bool, large: bool) -> Verdict:
        """The verdict on an error here: an error that the step has brought on itself is not the database's fault."""
        found = verdict_by_size(error, ours, large)
        if self.writable and sqlstate(error) == Sqlstate.READ_ONLY:
            return Verdict.NEVER
        uncounted = found in (Verdict.BUSY, Verdict.MISSING, Verdict.SURPRISING)
        return Verdict.CONTENDED if ours and self.sets and uncounted else found


@asynccontextmanager
async def own_transaction(reader: Reader, until: float) -> AsyncIterator[OwnTransaction]:
    """A transaction at REPEATABLE READ: its snapshot is older than its id, as the feed needs it.

    It is rolled back unless it was committed, and its session is reset, or closed. Raises psycopg's errors.
    """
    async with reader.connection(until) as connection:
        try:
            cursor = await connection.execute(SQL["begin"], prepare=False)
            cursor.nextset()
            yield OwnTransaction(connection, await cursor.fetchone() == ("off",))
        finally:
            await reset_session(connection)


async def reset_session(connection: AsyncConnection[TupleRow]) -> None:
    """Reset a session to what it was at its beginning; one that cannot be reset is closed."""
    back = False
    try:
        if not connection.closed and connection.info.transaction_status is not TransactionStatus.ACTIVE:
            async with asyncio.timeout(RESTORE_SECONDS):
                await connection.rollback()
                await connection.execute(SQL["restore"], prepare=False)
            back = True
    except (psycopg.Error, OSError) as lost:  # what was not committed is undone by that too
        log.debug("The session of a step cannot be brought back: %s", lost)
    finally:
        if not back:
            await connection.close()
