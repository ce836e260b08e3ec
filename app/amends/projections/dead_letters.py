"""Keys of read models whose next event cannot be applied: listed with the error, and brought on by a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from app.amends.postgres.statements.reader import Reader
from app.amends.projections import SQL

RequestedAction = Literal["retry", "skip"]
LISTED, GLANCE = 1000, 20
"""How many of a table are listed: of one read model, and of all."""


@dataclass(frozen=True)
class DeadLetter:
    """A key that waits: its event that could not be applied, why, how many wait behind it, and what a person wants."""

    name: str
    build: int
    key: str
    error: str
    since: datetime
    wish: str | None
    event_id: UUID
    type: str
    stream: str
    version: int
    position: int
    waiting: int


@dataclass(frozen=True)
class SkippedEvent:
    """An event that a person let a read model leave out, in whatever table: by whom, and why."""

    key: str
    build: int
    at: datetime
    event_id: UUID
    type: str
    stream: str
    version: int
    position: int
    reason: str | None
    actor: str | None


async def note_action(
    connection: AsyncConnection[TupleRow], name: str, key: str, wish: RequestedAction
) -> list[DeadLetter]:
    """Note what is to become of a key, in all tables; returns what waits there, which stays so until the commit."""
    wanted = {"name": name, "key": key, "wish": wish, "limit": LISTED}
    for _ in range(2):  # a runner may be at it: what it has set aside anew is seen by another statement
        noted = await (await connection.execute(SQL["wish"], wanted)).fetchall()
        if noted:
            break
    builds = {build for (build,) in noted}
    async with connection.cursor(row_factory=class_row(DeadLetter)) as cursor:
        await cursor.execute(SQL["set_aside"], wanted)
        return [each for each in await cursor.fetchall() if each.build in builds]


class DeadLetters:
    """What is set aside in all read models, and what was skipped."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def all(self, name: str | None = None, key: str | None = None) -> list[DeadLetter]:
        """What waits, by table, the oldest first: at most 1000 of a table, or 20 if no read model is named."""
        wanted = {"name": name, "key": key, "limit": GLANCE if name is None else LISTED}
        return [DeadLetter(**row) for row in await self._reader.rows(SQL["set_aside"], wanted)]

    async def skipped(self, name: str) -> list[SkippedEvent]:
        """What a read model leaves out, the newest first, at most 1000."""
        return [SkippedEvent(**row) for row in await self._reader.rows(SQL["skipped"], {"name": name, "limit": LISTED})]
