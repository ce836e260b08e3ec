"""Idempotent requests: a request with a key is carried out once, and answered the same each time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.statements.reader import Reader
from domain.amends.errors import AmendsError, Unavailable
from workflows.amends.ports.event_store import IdempotencyKey as IdempotencyKey
from workflows.amends.ports.event_store import RepeatedRequest, repeated_answer
from workflows.amends.values.codec import digest

SQL = load_statements(Path(__file__).with_name("idempotent_requests.sql"))
PATIENCE, MOMENT = 10.0, 0.5
"""How long the database is waited for, in seconds: at first, and after it was waited for already."""


class IdempotentRequests:
    """Answers by idempotency key; each is kept in the commit of the request (`amends.keep_answer`)."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def once(
        self, key: str | None, asked: Any, act: Callable[[IdempotencyKey | None], Awaitable[dict[str, Any]]]
    ) -> dict[str, Any]:
        """Carry out a request, unless it was before under this key. Raises Conflict if another one was.

        `act` commits its answer together with its effects. A request that was refused had no effects, and may be sent
        again.
        """
        if key is None:
            return await act(None)
        mine = IdempotencyKey(key, digest(asked))
        if (known := await self._known(mine)) is not None:
            return known
        try:
            return await act(mine)
        except AmendsError:
            with suppress(Unavailable):
                if (known := await self._known(mine, MOMENT)) is not None:
                    return known
            raise

    async def _known(self, key: IdempotencyKey, patience: float = PATIENCE) -> dict[str, Any] | None:
        try:
            async with asyncio.timeout(patience):  # what is known may wait for a standby
                row = await self._reader.row(SQL["answer"], (key.key,), patience)
        except TimeoutError:
            raise Unavailable(patience) from None
        return repeated_answer(key.key, key.digest, RepeatedRequest(row["digest"], row["answer"])) if row else None


async def earlier_answer(connection: AsyncConnection[TupleRow], key: IdempotencyKey) -> dict[str, Any] | None:
    """The answer that a request got before, as a transaction sees it. Raises Conflict if its key was used for another
    request."""
    row = await (await connection.execute(SQL["answer"], (key.key,))).fetchone()
    return repeated_answer(key.key, key.digest, RepeatedRequest(*row)) if row else None
