"""Sessions of the database: connections that know the run of their server, and how they are cut off."""

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
    """This server must not be written to now, for the reason in the text."""


class Session(AsyncConnection[TupleRow]):
    """A connection that knows the run of the server in which it writes, and whether its last commit waited for
    standbys."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.run: int | None = None
        self.unreplicated = False
        self.add_notice_handler(self._noticed)

    def _noticed(self, notice: Diagnostic) -> None:
        self.unreplicated = self.unreplicated or notice.source_function == CANCELLED_WAIT

    async def note_server_run(self) -> None:
        """Note the run of the server before the first write. Raises NotWritable for one that must not be written to."""
        if self.run is not None:
            return
        row = await (await self.execute(ENTER)).fetchone()
        assert row is not None
        self.run, problem = row
        if problem:
            await self.close()
            raise NotWritable(problem)


def cut_connection(connection: AsyncConnection[Any]) -> None:
    """Cut a connection off: a statement that waits for an answer on it fails at once.

    Unlike a cancel, this does nothing to the statement on the server: a commit that waits for a standby goes on
    waiting, and nobody sees it before.
    """
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as other:
        other.shutdown(socket.SHUT_RDWR)


class SessionGuard:
    """Closes a connection that an error has spoilt: the next try is made on another one.

    psycopg raises an error of its own about a statement, such as too many parameters, as if the connection were lost:
    it is raised as a ProgrammingError here. A commit that was not replicated is raised as Unreplicated: when it is sent
    again it is found, and waited for.
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
