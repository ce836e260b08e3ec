"""Writes inline read models in the commit that appends the events: a read after a write sees it without waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from app.amends.postgres.connections.pool import detached_task
from app.amends.postgres.statements.reader import Reader
from app.amends.postgres.statements.resending import Resending, Unsettled, deadline_after, unstorable_error
from app.amends.projections import SQL
from app.amends.projections.failures import PostgresErrors
from app.amends.projections.statement_rows import parse_feed_events, parse_table_shape
from domain.amends.errors import Unavailable
from workflows.amends.ports.event_store import NewEvent
from workflows.amends.ports.projection_builds import BuildTarget, FeedEvent, KnownProjections, TableShape
from workflows.amends.projections.inline import InlineWriter

LOCK_TIMEOUT = "1s"
"""How long an append waits for a row of a read model that another session has locked."""
STATEMENT_TIMEOUT = "2s"
"""How long a statement for a read model may take: a trigger on its table may sleep."""
DONE = ("appended", "committed")
"""The outcomes of a statement that has appended its events."""


class InlineProjections:
    """The inline read models of this code, written in transactions of Postgres."""

    def __init__(self, known: KnownProjections, reader: Reader) -> None:
        self._reader = reader
        self._writer = InlineWriter(known, PostgresErrors())
        self.on_commit: Callable[[], None] = _nothing

    async def on_new_server_run(self) -> None:
        """Another run of the server answers: a table may be another one than before."""
        self._writer.recheck_tables()

    def writes_for(self, events: Iterable[NewEvent]) -> bool:
        """Whether an inline read model reads one of these."""
        return self._writer.writes_for(events)

    async def commit(
        self,
        statement: str,
        parameters: Sequence[Any] | Mapping[str, Any],
        outcome: int,
        events: Sequence[NewEvent],
        patience: float | None = None,
    ) -> list[TupleRow]:
        """Run a statement that appends and write the read models, in one commit; returns its rows.

        `outcome` is the column with its outcome. Like the committer's, the statement is resent until it is answered;
        with `patience` (in seconds), no longer. Raises Unavailable, Contended, Unstorable and AlreadyExists.

        A commit that is under way is never cancelled: it may wait for a standby.
        """
        committing = detached_task(self._commit(statement, parameters, outcome, events, patience))
        done, _ = await asyncio.wait({committing}, timeout=patience)
        if not done:
            assert patience is not None
            raise Unsettled(round(patience, 1))
        return committing.result()

    async def _commit(
        self,
        statement: str,
        parameters: Sequence[Any] | Mapping[str, Any],
        outcome: int,
        events: Sequence[NewEvent],
        patience: float | None,
    ) -> list[TupleRow]:
        was_sent = False

        async def attempt() -> list[TupleRow]:
            nonlocal was_sent
            async with self._reader.connection() as connection, connection.transaction():
                rows = await (await connection.execute(statement, parameters)).fetchall()
                if rows[0][outcome] in DONE:
                    await self.write(connection, events)
                was_sent = True
            self.on_commit()
            return rows

        tries = Resending("A commit with an inline read model", deadline_after(patience), parameters=parameters)
        try:
            return await tries.until_answered(attempt)
        except (psycopg.Error, OSError, UnicodeError) as never:
            raise unstorable_error(never) from never
        except Unavailable as away:
            raise Unsettled(away.seconds) if was_sent else away from away.__cause__

    async def write(self, connection: AsyncConnection[TupleRow], events: Sequence[NewEvent]) -> None:
        """Write the read models in a transaction that has appended the events and holds their streams."""
        await self._writer.write(_Transaction(connection), events)


def _nothing() -> None:
    """The notification of a commit while there is no listener."""


class _Transaction:
    """A transaction that has appended events; a savepoint keeps a failure from the append."""

    def __init__(self, connection: AsyncConnection[TupleRow]) -> None:
        self._connection, self._limit = connection, ""

    async def builds_of(self, name: str, version: int) -> list[int]:
        return [build for (build,) in await self._ask(SQL["builds_of"], (name, version))]

    def savepoint(self) -> AbstractAsyncContextManager[Any]:
        return self._connection.transaction()

    async def table_shape(self, target: BuildTarget) -> TableShape:
        return parse_table_shape(await self._ask(SQL["shape"], vars(target)))

    async def dead_letter_state(self, target: BuildTarget, key: str) -> tuple[bool, set[int]]:
        parameters = vars(target) | {"key": key, "patience": LOCK_TIMEOUT, "limit": STATEMENT_TIMEOUT}
        ((is_set_aside, left_out, self._limit, *_),) = await self._ask(SQL["key"], parameters)
        return is_set_aside, set(left_out)

    async def rows_json(self, target: BuildTarget, keys: Sequence[str]) -> str:
        ((found,),) = await self._ask(SQL["get_rows"], (*target.as_tuple, list(keys)))
        return str(found)

    async def later_events(self, stream: str, after: int, types: Sequence[str]) -> list[FeedEvent]:
        return parse_feed_events(await self._ask(SQL["later"], (stream, after, list(types))))

    async def put_rows(self, target: BuildTarget, rows: str) -> None:
        await self._connection.execute(SQL["put_rows"], (*target.as_tuple, rows, []))

    async def reset_timeouts(self) -> None:
        await self._connection.execute(SQL["unlimit"], (self._limit,))

    async def _ask(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[TupleRow]:
        return await (await self._connection.execute(statement, parameters)).fetchall()
