"""The provider's books: every call and every effect, once per idempotency key, and what was undone before it came."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from app.amends.postgres.connections.pool import Pool, borrowed_connection
from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.sqlstates import Verdict, log_text, verdict
from domain.amends.errors import Unavailable

log = logging.getLogger("amends.sandbox")

SQL = load_statements(Path(__file__).with_name("sandbox.sql"))


@dataclass(frozen=True)
class Action:
    """What a caller wants done, or undone if `of` names the key of what it undoes."""

    provider: str
    operation: str
    key: str
    reference: str
    amount: int | None
    request: dict[str, Any]
    of: str | None = None


@dataclass(frozen=True)
class Answer:
    """What the caller is told: an HTTP status, a body, and for the journal what it came to."""

    status: int
    body: dict[str, Any]
    outcome: str


class Page:
    """One call being handled: everything that it writes is committed together, and no other has its key meanwhile."""

    def __init__(self, connection: AsyncConnection[TupleRow], action: Action) -> None:
        self._connection, self.action = connection, action

    async def effect(self, key: str) -> str | None:
        """The id of what was done under a key."""
        row = await self._row("effect", {"key": key})
        return str(row[0]) if row else None

    async def undone(self, key: str) -> str | None:
        """The key under which an action was undone, whether it had come or not."""
        row = await self._row("undone", {"key": key})
        return str(row[0]) if row else None

    async def failures(self) -> int:
        """How many earlier calls with this key were answered with 5xx."""
        row = await self._row("failures", {"key": self.action.key})
        return int(row[0]) if row else 0

    async def request_of(self, key: str) -> dict[str, Any]:
        """What was asked for in the first call with a key; empty if there was none."""
        row = await self._row("request_of", {"key": key})
        return dict(row[0]) if row else {}

    async def enabled(self, switch: str) -> bool:
        row = await self._row("switch", {"name": switch})
        return bool(row[0]) if row else True

    async def do(self, amount: int | None) -> str:
        """Note an effect under this call's key; returns its id."""
        action = self.action
        row = await self._row(
            "do",
            {
                "provider": action.provider,
                "operation": action.operation,
                "key": action.key,
                "reference": action.reference,
                "amount": amount,
            },
        )
        assert row is not None
        return str(row[0])

    async def remember_undone(self, key: str) -> None:
        await self._connection.execute(SQL["remember_undone"], {"key": key, "by": self.action.key})

    async def amount_of(self, key: str) -> int | None:
        row = await self._row("amount_of", {"key": key})
        return row[0] if row else None

    async def postpone(self, delay: timedelta) -> None:
        """Let this action take effect later, whatever becomes of us or the caller."""
        action = self.action
        await self._connection.execute(
            SQL["postpone"],
            {
                "key": action.key,
                "provider": action.provider,
                "operation": action.operation,
                "reference": action.reference,
                "amount": action.amount,
                "request": Jsonb(action.request),
                "delay": delay,
            },
        )

    async def journal(self, answer: Answer) -> Answer:
        action = self.action
        await self._connection.execute(
            SQL["journal"],
            {
                "provider": action.provider,
                "operation": action.operation,
                "key": action.key,
                "reference": action.reference,
                "request": Jsonb(action.request),
                "status": answer.status,
                "outcome": answer.outcome,
            },
        )
        return answer

    async def _row(self, statement: str, parameters: dict[str, Any]) -> TupleRow | None:
        cursor = await self._connection.execute(SQL[statement], parameters)
        return await cursor.fetchone()


class Ledger:
    """The provider's books in schema `sandbox`. Callers are told Unavailable while it, or what it needs, is away."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection[TupleRow]]:
        began = time.monotonic()
        try:
            async with borrowed_connection(self._pool) as connection, connection.transaction():
                yield connection
        except (psycopg.Error, OSError) as error:
            found = verdict(error, ours=True)
            if found is Verdict.NEVER:
                raise
            log.log(logging.ERROR if found.is_alarming else logging.INFO, "Not answered: %s", log_text(error, found))
            raise Unavailable(round(time.monotonic() - began, 1)) from error

    @asynccontextmanager
    async def page(self, action: Action) -> AsyncIterator[Page]:
        async with self._transaction() as connection:
            await connection.execute(SQL["lock"], {"keys": sorted({action.key, action.of or action.key})})
            yield Page(connection, action)

    async def switch(self, name: str, enabled: bool) -> None:
        async with self._transaction() as connection:
            await connection.execute(SQL["set_switch"], {"name": name, "enabled": enabled})

    async def next_due(self) -> float | None:
        """In how many seconds the next postponed action is due; None if there is none."""
        async with borrowed_connection(self._pool) as connection:
            row = await (await connection.execute(SQL["next_due"])).fetchone()
        return float(row[0]) if row and row[0] is not None else None

    async def land(self) -> bool:
        """Let one postponed action that is due arrive; False if none is."""
        async with borrowed_connection(self._pool) as connection, connection.transaction():
            row = await (await connection.execute(SQL["take_due"])).fetchone()
            if row is None:
                return False
            key, provider, operation, reference, amount, request = row
            page = Page(connection, Action(provider, operation, key, reference, amount, request))
            await connection.execute(SQL["lock"], {"keys": [key]})
            if await page.undone(key):
                await page.journal(Answer(409, {}, "refused: undone before it took effect"))
            elif await page.effect(key) is None:
                await page.do(amount)
                await page.journal(Answer(201, {}, "took effect late"))
            return True
