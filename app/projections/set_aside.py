"""Keys of read models whose next event cannot be applied: listed with the error, and brought on by a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from app.projections import SQL
from app.store.reader import Reader

Wish = Literal["retry", "skip"]
LISTED = 1000


@dataclass(frozen=True)
class SetAside:
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


class SetAsides:
    """What is set aside in all read models."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def all(self, name: str | None = None, key: str | None = None) -> list[SetAside]:
        """What waits, the oldest first, at most 1000."""
        wanted = {"name": name, "key": key, "limit": LISTED}
        return [SetAside(**row) for row in await self._reader.rows(SQL["set_aside"], wanted)]
