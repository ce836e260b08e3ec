"""Reads of read models: rows of the live build, on request not before it has got to a position."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from app.amends.postgres.statements.waiter import PollingWaiter
from app.amends.projections.cursor_waiter import Place, cursor_waiter
from app.amends.store.events.postgres_events import PostgresEvents
from domain.amends.errors import Conflict
from domain.amends.projection import Projection
from workflows.amends.ports.event_store import FeedCursor
from workflows.amends.ports.projection_builds import FeedEvent
from workflows.amends.projections.builds import ProjectionBuilds, no_column
from workflows.amends.projections.feed import recorded_event
from workflows.amends.projections.row_cache import as_read_back
from workflows.amends.values.codec import dump


class ReadModelQueries:
    """Rows of read models as plain JSON data."""

    def __init__(self, builds: ProjectionBuilds, events: PostgresEvents) -> None:
        self._builds, self._events = builds, events
        self._waiters: dict[str, PollingWaiter[Place, bool]] = {}

    def projection(self, name: str) -> Projection[Any, Any]:
        """The newest version of a read model. Raises NotFound, listing the known ones."""
        return self._builds.newest(name)

    async def row(self, name: str, key: str) -> dict[str, Any] | None:
        """One row, None if there is none."""
        projection = self.projection(name)
        if projection.mode == "live":
            return await self._folded(projection, key)
        rows = await self._rows(name, {projection.key: key}, None, 1)
        return rows[0] if rows else None

    async def rows(
        self, name: str, where: dict[str, str], after: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Rows whose columns have these values, in the order of their keys, and the cursor of the next page."""
        projection = self.projection(name)
        if projection.mode == "live":
            raise Conflict("mode", f"{name} is live: it is folded for one key at a time, /views/{name}/<key>.")
        if unknown := next(
            (each for each in where if each not in {column.name for column in projection.columns}), None
        ):
            raise no_column(projection, unknown)
        found = await self._rows(name, where, after, limit + 1)
        page = found[:limit]
        return page, str(page[-1][projection.key]) if len(found) > limit else None

    async def wait_for(self, name: str, cursor: FeedCursor, seconds: float) -> bool:
        """Wait until a read model has got to a place; False if it has not in time. Raises WentBack if it never will."""
        if self.projection(name).mode != "live" and await self._waiter(name).wait((*cursor, cursor.event), seconds):
            return True
        await self._events.require_on_record(cursor)
        return self.projection(name).mode == "live"

    def _waiter(self, name: str) -> PollingWaiter[Place, bool]:
        return self._waiters.setdefault(name, cursor_waiter(name, self._builds.store))

    async def _rows(self, name: str, where: dict[str, str], after: str | None, limit: int) -> list[dict[str, Any]]:
        if why := self._builds.unopened.get(name):
            raise Conflict("missing", f"{name} has no table, and cannot be given one now: {why}")
        return await self._builds.store.visible_rows(self.projection(name), where, after, limit)

    async def _folded(self, projection: Projection[Any, Any], key: str) -> dict[str, Any] | None:
        row, version = None, 0
        while True:
            page = await self._events.read(projection.of.stream(key), after=version)
            for stored in page:
                version = stored.version
                if stored.name in projection.vocabulary.names:
                    found = FeedEvent.of(stored)
                    row = as_read_back(
                        projection, projection.next_row(row, recorded_event(projection, found), key), key
                    )
            if not page:
                break
        if row is None:
            return None
        shown: dict[str, Any] = dump(row, projection.row)
        amounts = [column.name for column in projection.columns if column.type == "numeric"]
        return shown | {name: f"{Decimal(shown[name]):f}" for name in amounts if shown[name] is not None}
