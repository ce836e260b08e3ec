"""Writes events: the one place that decides whether inline read models are written in the same commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.statements.committer import Committer, Parameters
from app.amends.store.events.encoding import append_item
from app.amends.store.events.recent import RecentEvents
from workflows.amends.ports.event_store import START, FeedCursor, NewEvent, StoredAnswer
from workflows.amends.values.codec import json_text

SQL = load_statements(Path(__file__).with_name("events.sql"))


class InlineReadModels(Protocol):
    """Read models that are written in the commit that appends (app/amends/projections/inline.py)."""

    def writes_for(self, events: Iterable[NewEvent]) -> bool:
        """Whether one of them is written in the commit of these events: such a commit cannot be shared."""
        ...

    async def commit(
        self,
        statement: str,
        parameters: Sequence[Any] | Mapping[str, Any],
        outcome: int,
        events: Sequence[NewEvent],
        patience: float | None = None,
    ) -> list[TupleRow]:
        """Run a statement that appends, and write them, in one commit; returns the statement's rows.

        `outcome` is the column with its outcome.
        """
        ...

    async def write(self, connection: AsyncConnection[TupleRow], events: Sequence[NewEvent]) -> None:
        """Write them in a transaction that has appended the events."""
        ...


class EventWriter:
    """The writes of events in one process; committed events are remembered, so that their loss is noticed.

    A statement answers with one row that begins with its outcome: `appended` or `committed` if the events stand.
    """

    def __init__(
        self, committer: Committer, inline: InlineReadModels | None = None, recent: RecentEvents | None = None
    ) -> None:
        self.committer, self._inline, self.recent = committer, inline, recent or RecentEvents()

    async def append(self, item: str, events: Sequence[NewEvent], patience: float | None) -> TupleRow:
        """Append one item as `amends.append` takes it, in a commit that others may share; returns its outcome."""
        before = self.recent.end
        if inline := self._inline_of(events):
            (_, *row), *_ = await inline.commit(SQL["append"], (f"[{item}]",), 1, events, patience)
        else:
            row = list(await self.committer.run_shared(SQL["append"], item, patience))
        outcome, cursor = row[0], row[4]
        if outcome == "appended" and (FeedCursor.parse(cursor or "") or START) > before:  # else it was there before
            self.recent.note_committed(events, before)
        return tuple(row)

    async def commit(
        self, statement: str, parameters: Parameters, events: Sequence[NewEvent], patience: float | None = None
    ) -> TupleRow:
        """Run a statement that appends events in a commit of its own; returns its outcome."""
        before = self.recent.end
        if inline := self._inline_of(events):
            rows = await inline.commit(statement, parameters, 0, events, patience)
        else:
            rows = await self.committer.run(statement, parameters, patience)
        if rows[0][0] == "committed":
            self.recent.note_committed(events, before)
        return rows[0]

    async def write_read_models(self, connection: AsyncConnection[TupleRow], events: Sequence[NewEvent]) -> None:
        """Write the inline read models in a transaction of the caller that has appended the events."""
        if inline := self._inline_of(events):
            await inline.write(connection, events)

    def _inline_of(self, events: Sequence[NewEvent]) -> InlineReadModels | None:
        return self._inline if self._inline and self._inline.writes_for(events) else None


async def lock_streams(connection: AsyncConnection[TupleRow], names: Sequence[str]) -> None:
    """Lock streams until the end of a transaction, before its first write."""
    await connection.execute(SQL["lock"], (list(names),))


async def append_within(
    connection: AsyncConnection[TupleRow], events: Sequence[NewEvent], answer: StoredAnswer | None
) -> str | None:
    """Append in a transaction that has locked the streams, and keep its answer; returns the token of the place."""
    item = json_text(append_item(events, {}, answer))
    row = await (await connection.execute(SQL["append"], (f"[{item}]",))).fetchone()
    assert row is not None
    _, _, _, _, _, cursor, *_ = row
    return None if cursor is None else str(cursor)
