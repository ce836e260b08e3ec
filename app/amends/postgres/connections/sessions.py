"""A session of the database: what Amends knows of it beside the connection, and how it is cut off."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from types import TracebackType
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection
from psycopg.errors import Diagnostic
from psycopg.rows import TupleRow

from app.amends.postgres.sqlstates import spoils_session, sqlstate

ENTER: Final = "select run, problem from amends.enter()"
CANCELLED_WAIT: Final = "SyncRepWaitForLSN"
"""The function of Postgres that warns of a commit whose wait for a standby was cancelled; texts are translated."""


class Unreplicated(psycopg.OperationalError):
    """A commit stands on one server alone: its wait for a synchronous standby was cancelled, so that is no answer."""


class NotWritable(psycopg.OperationalError):
    """This server cannot be written to by Amends now: the text says why."""


class Session(AsyncConnection[TupleRow]):
    """A connection that knows in which run of the server it writes, and whether its last commit waited for standbys."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.run: int | None = None
        self.unreplicated = False
        self.add_notice_handler(self._noticed)

    def _noticed(self, notice: Diagnostic) -> None:
        self.unreplicated = self.unreplicated or notice.source_function == CANCELLED_WAIT

    async def enter(self) -> None:
        """Note the run of the server before the first write. Raises NotWritable for one that must not be written to."""
        if self.run is not None:
            return
        row = await (await self.execute(ENTER)).fetchone()
        assert row is not None
        self.run, problem = row
        if problem:
            await self.close()
            raise NotWritable(problem)


def sever(connection: AsyncConnection[Any]) -> None:
    """Cut a connection off: whoever waits for an answer on it meets its end at once.

    Unlike a cancel, this does nothing to what the server is doing: a commit that waits for a standby goes on waiting,
    and nobody sees it before.
    """
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as other:
        other.shutdown(socket.SHUT_RDWR)


class Guarded:
    """Closes a connection that an error has spoilt: the next try is made on another one.

    An error that comes from this side while the connection stands is about the statement, such as too many parameters:
    psycopg raises it as if the connection were lost, and it is raised as a ProgrammingError here. A commit that no
    standby was waited for is raised as Unreplicated: whoever sends it again finds it, and waits then.
    """

    def __init__(self, connection: AsyncConnection[TupleRow]) -> None:
        self._connection = connection

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and isinstance(self._connection, Session) and self._connection.unreplicated:
            await self._connection.close()
            raise Unreplicated("a commit has not been replicated: its wait for a synchronous standby was cancelled")
        if not isinstance(error, psycopg.Error):
            return
        if spoils_session(error):
            await self._connection.close()
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        if lost and sqlstate(error) is None and not self._connection.closed:
            raise psycopg.ProgrammingError(str(error)) from error
