"""Dead letters of read models: keys whose next event cannot be applied, and events that were skipped."""

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
"""How many of a build are listed: of one read model, and of all."""


@dataclass(frozen=True)
class DeadLetter:
    """A key that is set aside: its event that cannot be applied, the error, and how many events wait behind it."""

    name: str
    build: int
    key: str
    error: str
    since: datetime
    requested_action: str | None
    event_id: UUID
    type: str
    stream: str
    version: int
    position: int
    waiting: int


@dataclass(frozen=True)
class SkippedEvent:
    """An event that a read model leaves out, on an operator's request."""

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
    connection: AsyncConnection[TupleRow], name: str, key: str, action: RequestedAction
) -> list[DeadLetter]:
    """Note the requested action for a key, in all builds; returns its dead letters, which stay so until the commit."""
    wanted = {"name": name, "key": key, "action": action, "limit": LISTED}
    for _ in range(2):  # a runner may be at it: what it has set aside anew is seen by another statement
        noted = await (await connection.execute(SQL["request_action"], wanted)).fetchall()
        if noted:
            break
    builds = {build for (build,) in noted}
    async with connection.cursor(row_factory=class_row(DeadLetter)) as cursor:
        await cursor.execute(SQL["set_aside"], wanted)
        return [each for each in await cursor.fetchall() if each.build in builds]


class DeadLetters:
    """Dead letters and skipped events of all read models."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def all(self, name: str | None = None, key: str | None = None) -> list[DeadLetter]:
        """The dead letters by build, oldest first: at most 1000 of a build, or 20 if no read model is named."""
        wanted = {"name": name, "key": key, "limit": GLANCE if name is None else LISTED}
        return [DeadLetter(**row) for row in await self._reader.rows(SQL["set_aside"], wanted)]

    async def skipped(self, name: str) -> list[SkippedEvent]:
        """The events that a read model leaves out, newest first, at most 1000."""
        return [SkippedEvent(**row) for row in await self._reader.rows(SQL["skipped"], {"name": name, "limit": LISTED})]
