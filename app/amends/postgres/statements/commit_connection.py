"""Connections that commits are sent on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Self

from psycopg.rows import TupleRow
from sqlalchemy import URL

from app.amends.postgres.connections.pool import connect
from app.amends.postgres.connections.sessions import Session, SessionGuard, cut_connection
from app.amends.postgres.statements.resending import RetryDelays

OPEN_SECONDS = 10.0
"""How long it may take to open a connection, and to note the run of its server."""
LOCK_TIMEOUT = "1s"
"""How long a connection waits for a lock before it takes another commit; this one is sent again, however often."""

Parameters = Sequence[object] | Mapping[str, object]


class CommitConnection:
    """One connection: opened when it is needed, reopened when it was lost.

    `given_up` says that its last statement takes too long: its worker goes on with another connection. The statement is
    not cancelled, for that would end the wait of a commit for a standby, and show everybody what may still be lost.
    """

    def __init__(self, url: URL) -> None:
        self._url, self._waits = url, RetryDelays()
        self._session: Session | None = None
        self.held_up, self.given_up = False, False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def execute(self, statement: str, parameters: Parameters) -> list[TupleRow]:
        """Run a statement and return its rows; the connection must be open."""
        session = self._session
        assert session is not None
        async with SessionGuard(session):
            cursor = await session.execute(statement, parameters)
            rows = await cursor.fetchall() if cursor.rownumber is not None else []
        self._waits = RetryDelays()
        return rows

    async def open(self) -> None:
        """Open a session that has noted the run of its server, if there is none. Raises TimeoutError, and
        NotWritable."""
        if self._session is not None and not self._session.closed:
            return
        async with asyncio.timeout(OPEN_SECONDS):
            session = self._session = await connect(self._url, "committer", lock_timeout=LOCK_TIMEOUT)
        overdue = asyncio.get_running_loop().call_later(OPEN_SECONDS, cut_connection, session)
        try:
            async with SessionGuard(session):
                await session.note_server_run()
        finally:
            overdue.cancel()

    def sever(self) -> None:
        """Cut the connection off, if it is open: the statement on it fails."""
        if self._session:
            cut_connection(self._session)

    async def wait_until_back(self) -> None:
        """Wait while the database is away: no message is to blame, and the next one would fare no better."""
        await asyncio.sleep(self._waits.next_delay())
