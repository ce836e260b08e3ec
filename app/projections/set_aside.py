"""Keys of read models whose next event cannot be applied: listed with the error, and brought on by a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from app.projections import SQL
from app.projections.builds import Builds
from app.store.committer import Committer
from app.store.reader import Reader
from domain.errors import NotFound
from domain.event import Cause
from domain.projection_story import SetAsideRetried, SetAsideSkipped
from workflows.events import Answer, Place

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

    def __init__(self, builds: Builds, committer: Committer, reader: Reader) -> None:
        self._builds, self._committer, self._reader = builds, committer, reader

    async def all(self, name: str | None = None, key: str | None = None) -> list[SetAside]:
        """What waits, the oldest first, at most 1000."""
        wanted = {"name": name, "key": key, "limit": LISTED}
        return [SetAside(**row) for row in await self._reader.rows(SQL["set_aside"], wanted)]

    async def wish(
        self, name: str, key: str, wish: Wish, reason: str, cause: Cause, answer: Answer | None = None
    ) -> Place:
        """Note what a person wants; the runners of the read model's tables do it next. Raises NotFound.

        `retry` applies the event and those behind it once more; `skip` leaves out the one that cannot be applied. That
        it was wanted, and why, is told in the read model's own story, whose place in the feed is returned.
        """
        self._builds.newest(name)
        found = await self.all(name, key)
        if not found or not await self._committer.run(SQL["wish"], {"name": name, "key": key, "wish": wish}):
            raise NotFound("set aside", f"{name} {key}", f"See what waits: ./run amends projections list {name}.")
        event = SetAsideSkipped if wish == "skip" else SetAsideRetried
        told = [event(name, each.build, key, str(each.event_id), each.error, reason) for each in found]
        return await self._builds.tell(name, told, cause, answer)
