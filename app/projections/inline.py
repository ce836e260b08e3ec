"""Writes read models in the very commit that appends the events: who reads after a write sees it, without waiting."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from app.projections import SQL
from app.projections.builds import Known
from app.projections.feed import types_of
from app.projections.folding import fold
from app.projections.rows import Rows
from app.store.reader import Reader
from app.store.resending import Resending, deadline, unstorable
from app.store.sqlstates import Verdict, said, verdict
from domain.projection import Projection
from domain.vocabulary import NewerEvent
from workflows.events import NewEvent

log = logging.getLogger("amends.projections")

DONE = ("appended", "committed")
"""The outcomes of a statement that has appended its events."""


class Inline:
    """The inline read models of this code, in all their tables.

    A row tells which version of its stream is in it, and the events after that are folded in: so it does not matter
    whether another server, without this code, has appended some. The runner that follows the feed does the same. Events
    that cannot be applied never keep anybody from appending: the runner sets them aside.
    """

    def __init__(self, known: Known, reader: Reader) -> None:
        self._reader = reader
        self._projections = [each for each in known.values() if each.mode == "inline"]
        self.on_commit: Callable[[], None] = _nothing
        self._types = {type for each in self._projections for type in types_of(each)}

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

        `outcome` is the column that says what came of it. Like the committer's, the statement is resent until it is
        answered; with `patience` (in seconds), no longer. Raises Unavailable, Contended, Unstorable and Doubled.
        """
        tries = Resending("A commit with an inline read model", deadline(patience), parameters=parameters)
        while True:
            try:
                async with self._reader.connection() as connection, connection.transaction():
                    rows = await (await connection.execute(statement, parameters)).fetchall()
                    if rows[0][outcome] in DONE:
                        await self.write(connection, events)
                self.on_commit()
                return rows
            except (psycopg.Error, OSError, UnicodeError) as error:
                if verdict(error, ours=True) is Verdict.NEVER:
                    raise unstorable(error) from error
                await tries.after(error)

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
                        await _write(connection, projection, build, stream, key)


def _nothing() -> None:
    """Nobody listens yet."""


async def _write(
    connection: AsyncConnection[TupleRow], projection: Projection[Any, Any], build: int, stream: str, key: str
) -> None:
    """Bring one row up to its stream. A savepoint keeps what the table does not take from ending the append."""

    async def ask(statement: str, parameters: Sequence[Any]) -> list[TupleRow]:
        return await _all(connection, statement, parameters)

    rows, where = Rows(projection, projection.name, build, ask), (projection.name, build)
    if await ask(SQL["is_aside"], (*where, key)):
        return
    await rows.of([key])
    later = await ask(SQL["later"], (stream, rows.versions.get(key, 0), types_of(projection)))
    try:
        folded = await fold(projection, later, rows, set())
    except NewerEvent:
        return
    changed = [row for row in folded.changed.values() if row is not None]
    if folded.aside or not changed:
        return
    try:
        async with connection.transaction():
            await connection.execute(SQL["put_rows"], (*where, rows.json(changed)))
    except (psycopg.Error, UnicodeError) as refused:
        if verdict(refused, ours=True) is not Verdict.NEVER:
            raise
        log.warning("%s: the row of %s does not fit its table: %s", projection.name, key, said(refused))


async def _all(connection: AsyncConnection[TupleRow], statement: str, parameters: Sequence[Any]) -> list[TupleRow]:
    return await (await connection.execute(statement, parameters)).fetchall()
