"""One transaction step's unit of work: joins the committer, unless it runs SQL of its own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

import psycopg
from psycopg import AsyncConnection, IsolationLevel
from psycopg.rows import TupleRow, dict_row

from app.store.committer import Committer, Parameters
from app.store.encoding import checkpoint_text, events_text, family_text
from app.store.inline import InlineWriter
from app.store.reader import Reader
from app.store.sql import statements
from app.store.states import States
from domain.aggregate import Aggregate
from workflows.codec import text
from workflows.ports import Committed, Entry, Fenced, ForeignStep, Interrupted, Stale, Taken

S = TypeVar("S")
E = TypeVar("E")

SAGAS = statements("sagas.sql")


def commit_parameters(saga: str, owner: str, entry: Entry) -> tuple[object, ...]:
    """An entry as the parameters of `commit_step`."""
    change = entry.change
    return (
        saga,
        owner,
        events_text(entry.events),
        text(dict(entry.expected)),
        checkpoint_text(entry.checkpoint),
        change and change.status,
        change and change.reason,
        entry.park,
        change and change.waiting_for and text({"for": change.waiting_for, "due": change.due_at}),
        family_text(entry.start, entry.recall),
    )


def committed(rows: list[TupleRow]) -> Committed | Stale:
    """What `commit_step` answered. Raises Fenced, Taken or ForeignStep."""
    outcome, stream, expected, actual = rows[0]
    match outcome:
        case "committed":
            return Committed()
        case "stale":
            return Stale(stream, expected, actual)
        case "fenced":
            raise Fenced
        case "taken":
            raise Taken
        case _:
            raise ForeignStep


class PostgresUnit:
    """Reads, own SQL and the commit of one step of one saga."""

    def __init__(
        self,
        committer: Committer,
        reader: Reader,
        states: States,
        saga: str,
        owner: str,
        inline: InlineWriter | None = None,
    ) -> None:
        self._committer, self._reader, self._states, self._inline = committer, reader, states, inline
        self._saga, self._owner = saga, owner
        self._own: AsyncConnection[TupleRow] | None = None
        self._stack = AsyncExitStack()
        self.interrupted: Interrupted | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._stack.__aexit__(kind, error, trace)
        except (psycopg.OperationalError, psycopg.InterfaceError) as lost:
            if kind is None:
                raise Interrupted(str(lost)) from lost

    async def load(self, aggregate: Aggregate[S, E], key: str) -> tuple[S, int]:
        return await self._states.load(aggregate, aggregate.stream(key), self._ask)

    async def execute(self, sql: str, parameters: Parameters | None) -> list[dict[str, Any]]:
        if self._own is None:
            self._own = await self._begin()
        try:
            async with self._own.cursor(row_factory=dict_row) as cursor:
                await cursor.execute(sql, parameters)
                return await cursor.fetchall() if cursor.description else []
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Interrupted(str(error)) from error

    async def commit(self, entry: Entry) -> Committed | Stale:
        parameters = commit_parameters(self._saga, self._owner, entry)
        inline = self._inline if self._inline and self._inline.concerns(entry.events) else None
        if self._own is None and inline:
            return committed(await inline.commit(SAGAS["commit_step"], parameters, 0, entry.events))
        if self._own is None:
            return committed(await self._committer.run(SAGAS["commit_step"], parameters))
        try:
            cursor = await self._own.execute(SAGAS["commit_step"], parameters)
            outcome = committed(await cursor.fetchall())
            if isinstance(outcome, Stale):
                await self._own.rollback()
                return outcome
            if inline:
                await inline.write(self._own, entry.events)
            await self._own.commit()
            return outcome
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.IntegrityError) as error:
            if await self._landed(entry):
                return Committed()
            raise Interrupted(str(error)) from error

    async def _landed(self, entry: Entry) -> bool:
        """Whether a commit whose answer was lost was carried out; waits until it has ended either way."""
        streams = sorted({event.stream for event in entry.events})
        rows = await self._committer.run(SAGAS["landed"], (streams, entry.events[0].id))
        return bool(rows[0][0])

    async def _begin(self) -> AsyncConnection[TupleRow]:
        """A transaction of its own, at REPEATABLE READ: its snapshot is older than its id, as the feed needs it."""
        try:
            connection = await self._stack.enter_async_context(self._reader.pool.connection())
            await connection.set_autocommit(False)
            self._stack.push_async_callback(_back_to_autocommit, connection)
            await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
            return connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Interrupted(str(error)) from error

    async def _ask(self, statement: str, parameters: Mapping[str, Any]) -> list[TupleRow]:
        if self._own is None:
            return await self._reader.tuples(statement, parameters, patience=None)
        try:
            return await (await self._own.execute(statement, parameters)).fetchall()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Interrupted(str(error)) from error


async def _back_to_autocommit(connection: AsyncConnection[TupleRow]) -> None:
    if not connection.closed:
        await connection.rollback()
        await connection.set_isolation_level(None)
        await connection.set_autocommit(True)
