"""Everything that is written goes through here: one statement, one round trip, one commit, resent until it is answered.

What is ready is committed one by one, on connections that are held open; several would share a commit here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from sqlalchemy import URL

from app.store.database import connect
from domain.errors import AmendsError

log = logging.getLogger("amends.store")

ANSWER_SECONDS = 20.0
LONGEST_WAIT = 1.0

Parameters = Sequence[object] | Mapping[str, object]


class Unavailable(AmendsError):
    """The database has not answered for {seconds} seconds. Nothing is lost; try again."""

    seconds: float


class Unstorable(AmendsError):
    """The database does not take these values: {problem}"""

    problem: str


@dataclass
class _Message:
    statement: str
    parameters: Parameters
    give_up_at: float | None
    answer: asyncio.Future[list[TupleRow]]
    sent_at: float = field(default_factory=time.monotonic)


class Committer:
    """Writes for one process, on `connections` connections at a time."""

    def __init__(self, url: URL, connections: int) -> None:
        self._url, self._size = url, connections
        self.on_commit: Callable[[], None] = _nothing
        self._ready: asyncio.Queue[_Message] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._workers = [asyncio.create_task(self._work(), name=f"committer-{n}") for n in range(self._size)]

    async def stop(self) -> None:
        """End the workers; what is still waiting is not written."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def run(self, statement: str, parameters: Parameters, patience: float | None = None) -> list[TupleRow]:
        """Run one statement in a commit of its own and return its rows.

        The statement must be safe to resend: the answer to one that was carried out may be lost. Without `patience`
        (in seconds) it is resent until it is answered; with it, raises Unavailable. Raises Unstorable for bad values.
        """
        give_up_at = None if patience is None else time.monotonic() + patience
        message = _Message(statement, parameters, give_up_at, asyncio.get_running_loop().create_future())
        self._ready.put_nowait(message)
        return await message.answer

    async def _work(self) -> None:
        connection: AsyncConnection[TupleRow] | None = None
        try:
            while True:
                connection = await self._settle(await self._ready.get(), connection)
        finally:
            if connection:
                await connection.close()

    async def _settle(
        self, message: _Message, connection: AsyncConnection[TupleRow] | None
    ) -> AsyncConnection[TupleRow] | None:
        """Send a message until it is answered; returns the connection to go on with."""
        wait = 0.02
        while True:
            try:
                if connection is None or connection.closed:
                    connection = await connect(self._url, "committer")
                async with asyncio.timeout(ANSWER_SECONDS):
                    cursor = await connection.execute(message.statement, message.parameters)
                    rows = await cursor.fetchall() if cursor.description else []
            except psycopg.DataError as error:
                _answer(message, Unstorable(str(error).splitlines()[0]))
                return connection
            except (psycopg.Error, OSError, TimeoutError) as error:
                problem = error
            else:
                _answer(message, rows)
                self.on_commit()
                return connection
            if connection and (isinstance(problem, TimeoutError) or connection.broken):
                await connection.close()
            if message.give_up_at is not None and time.monotonic() + wait > message.give_up_at:
                _answer(message, Unavailable(round(time.monotonic() - message.sent_at, 1)))
                return connection
            _say(problem, wait)
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)


def _nothing() -> None:
    """Nobody listens yet."""


def _answer(message: _Message, answer: list[TupleRow] | AmendsError) -> None:
    if message.answer.done():
        return
    if isinstance(answer, AmendsError):
        message.answer.set_exception(answer)
    else:
        message.answer.set_result(answer)


def _say(problem: Exception, wait: float) -> None:
    """A lost connection or a lock that took too long is weather; anything else is said loudly."""
    weather = isinstance(problem, psycopg.OperationalError | psycopg.InterfaceError | OSError | TimeoutError)
    level = logging.DEBUG if weather and wait < LONGEST_WAIT else logging.WARNING if weather else logging.ERROR
    log.log(level, "A commit is not answered and is sent again: %s", str(problem).strip() or type(problem).__name__)
