"""Writes inline read models in the commit that appends the events: a read after a write sees it without waiting."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from app.amends.postgres.connections.pool import detached_task
from app.amends.postgres.statements.reader import Reader
from app.amends.postgres.statements.resending import Resending, Unsettled, deadline_after, unstorable_error
from app.amends.projections import SQL
from app.amends.projections.applying.apply import apply_page
from app.amends.projections.applying.row_cache import RowCache
from app.amends.projections.applying.writer import BuildTarget
from app.amends.projections.builds import KnownProjections, types_of
from app.amends.projections.failures import failure_text, is_about_row, is_database_away, short_key
from app.amends.projections.table_check import TableChanged, require_same_table
from domain.amends.errors import AmendsError, Unavailable
from domain.amends.projection import Projection
from domain.amends.vocabulary import NewerEvent
from workflows.amends.ports.event_store import NewEvent

log = logging.getLogger("amends.projections")

PAUSE_SECONDS = 1.0
"""How long a build that cannot be written is left to its runner."""
LOCK_TIMEOUT = "1s"
"""How long an append waits for a row of a read model that another session has locked."""
STATEMENT_TIMEOUT = "2s"
"""How long a statement for a read model may take: a trigger on its table may sleep."""
DONE = ("appended", "committed")
"""The outcomes of a statement that has appended its events."""


class InlineProjections:
    """The inline read models of this code, in all their builds.

    A row has the version of its stream that is in it, and the events after that are applied: it does not matter whether
    another server, without this code, has appended some. The runner that follows the feed does the same. So no read
    model keeps an append from being committed: a row that cannot be written now is left to the runner.
    """

    def __init__(self, known: KnownProjections, reader: Reader) -> None:
        self._reader = reader
        self._same: set[BuildTarget] = set()
        self._not_before: dict[BuildTarget, float] = {}
        self._projections = [each for each in known.values() if each.mode == "inline"]
        self.on_commit: Callable[[], None] = _nothing
        self._types = {type for each in self._projections for type in types_of(each)}

    async def look_anew(self) -> None:
        """Another run of the server answers: a table may be another one than before."""
        self._same.clear()

    def concerns(self, events: Iterable[NewEvent]) -> bool:
        """Whether an inline read model reads one of these."""
        return bool(self._types) and any(event.type.name in self._types for event in events)

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
        for projection in self._projections:
            types = set(types_of(projection))
            streams = sorted({event.stream for event in events if event.type.name in types})
            keys = [(stream, key) for stream in streams if (key := projection.of.key(stream)) is not None]
            if keys:
                builds = await _all(connection, SQL["builds_of"], (projection.name, projection.version))
                for (build,) in builds:
                    for stream, key in keys:
                        await self._bring_up(connection, projection, build, stream, key)

    async def _bring_up(
        self, connection: AsyncConnection[TupleRow], projection: Projection[Any, Any], build: int, stream: str, key: str
    ) -> None:
        """Bring one row up to its stream, if possible; a savepoint keeps a failure from the append.

        The rest is left to the runner, which sets the key aside, or notes what is wrong with the table. Raises errors
        that the database did not answer with, or not on a connection that stands.
        """
        table = BuildTarget(projection.name, build)
        if time.monotonic() < self._not_before.get(table, 0.0):
            return
        try:
            async with connection.transaction():
                if table not in self._same:
                    await require_same_table(projection, *table.where, partial(_all, connection))
                await _write(connection, projection, build, stream, key)
        except (TableChanged, NewerEvent) as waits:
            self._left(table, waits)
        except Exception as error:
            if is_database_away(error):
                raise
            if is_about_row(error):
                log.debug(
                    "%s: the row of %s is left to the runner: %s", projection.name, short_key(key), failure_text(error)
                )
            else:
                self._left(table, error)
        else:
            self._same.add(table)

    def _left(self, table: BuildTarget, error: Exception) -> None:
        """Leave a build to its runner for a while, so that not every append meets the same error."""
        self._same.discard(table)
        self._not_before[table] = time.monotonic() + PAUSE_SECONDS
        expected = isinstance(error, psycopg.Error | AmendsError)  # the runner logs it
        log.log(
            logging.DEBUG if expected else logging.ERROR,
            "%s build %d is left to its runner: %s",
            *table.where,
            failure_text(error),
            exc_info=None if expected else error,
        )


def _nothing() -> None:
    """The notification of a commit while there is no listener."""


async def _write(
    connection: AsyncConnection[TupleRow], projection: Projection[Any, Any], build: int, stream: str, key: str
) -> None:
    """Bring one row up to its stream, as far as its events can be applied."""

    async def ask(statement: str, parameters: Sequence[Any]) -> list[TupleRow]:
        return await _all(connection, statement, parameters)

    rows, where = RowCache(projection, projection.name, build, ask), (projection.name, build)
    parameters = {
        "name": projection.name,
        "build": build,
        "key": key,
        "patience": LOCK_TIMEOUT,
        "limit": STATEMENT_TIMEOUT,
    }
    ((set_aside, left_out, before, *_),) = await _all(connection, SQL["key"], parameters)
    if not set_aside:
        await rows.of([key])
        later = await ask(SQL["later"], (stream, rows.versions.get(key, 0), types_of(projection)))
        page = await apply_page(projection, later, rows, (), set(left_out))
        changed = [row for row in page.changed.values() if row is not None]
        if changed and not page.rejected:
            await connection.execute(SQL["put_rows"], (*where, rows.json(changed), []))
    await connection.execute(SQL["unlimit"], (before,))


async def _all(
    connection: AsyncConnection[TupleRow], statement: str, parameters: Sequence[Any] | Mapping[str, Any]
) -> list[TupleRow]:
    return await (await connection.execute(statement, parameters)).fetchall()
