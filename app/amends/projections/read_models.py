"""Reads of read models: rows of the live build, on request not before it has got to a position."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg

from app.amends.postgres.sqlstates import Sqlstate, is_of_values, sqlstate
from app.amends.postgres.statements.reader import Reader
from app.amends.postgres.statements.waiter import Waiter
from app.amends.projections import SQL
from app.amends.projections.applying.feed import recorded_event
from app.amends.projections.applying.row_cache import as_read_back
from app.amends.projections.builds import ProjectionBuilds
from app.amends.projections.waiting import Place, cursor_waiter
from app.amends.store.events.postgres_events import PostgresEvents
from domain.amends.errors import AmendsError, Conflict, Invalid
from domain.amends.projection import Projection
from workflows.amends.ports.event_store import FeedCursor
from workflows.amends.values.codec import dump, plain, text


class ReadModels:
    """Rows of read models as plain JSON data."""

    def __init__(self, builds: ProjectionBuilds, events: PostgresEvents, reader: Reader) -> None:
        self._builds, self._events, self._reader = builds, events, reader
        self._waiters: dict[str, Waiter[Place, bool]] = {}

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
            raise self._no_column(name, unknown)
        found = await self._rows(name, where, after, limit + 1)
        page = found[:limit]
        return page, str(page[-1][projection.key]) if len(found) > limit else None

    async def wait_for(self, name: str, cursor: FeedCursor, seconds: float) -> bool:
        """Wait until a read model has got to a place; False if it has not in time. Raises WentBack if it never will."""
        if self.projection(name).mode != "live" and await self._waiter(name).wait((*cursor, cursor.event), seconds):
            return True
        await self._events.require_standing(cursor)
        return self.projection(name).mode == "live"

    def _waiter(self, name: str) -> Waiter[Place, bool]:
        return self._waiters.setdefault(name, cursor_waiter(name, self._reader))

    async def _rows(self, name: str, where: dict[str, str], after: str | None, limit: int) -> list[dict[str, Any]]:
        if why := self._builds.unopened.get(name):
            raise Conflict("missing", f"{name} has no table, and cannot be given one now: {why}")
        parameters = {"name": name, "where": text(where), "after": after, "limit": limit}
        try:
            answer = await self._reader.tuples(SQL["rows"], parameters, ours=False)
        except psycopg.Error as error:
            if (refused := self._refused(error, name, where)) is None:
                raise
            raise refused from error
        found: list[dict[str, Any]] = plain(answer[0][0])
        instants = [column.name for column in self.projection(name).columns if column.type == "timestamptz"]
        for row in found:
            row.update({column: _in_utc(row[column]) for column in instants if row.get(column)})
        return found

    def _refused(self, error: psycopg.Error, name: str, where: dict[str, str]) -> AmendsError | None:
        """The error for the caller that a statement's error stands for; None if it is another one."""
        said = str(error.diag.message_primary)
        if sqlstate(error) == Sqlstate.UNDEFINED_COLUMN:
            return self._no_column(name, next((each for each in where if f" {each} " in f" {said} "), "query"))
        if sqlstate(error) == Sqlstate.UNDEFINED_TABLE:
            return Conflict("missing", f"{name} has no table yet: a server that has its code makes it.")
        return Invalid(_field(where, said), said) if is_of_values(error) else None

    def _no_column(self, name: str, field: str) -> Invalid:
        columns = ", ".join(column.name for column in self.projection(name).columns)
        return Invalid(field, f"is no column of {name}; there are: {columns}")

    async def _folded(self, projection: Projection[Any, Any], key: str) -> dict[str, Any] | None:
        row, version = None, 0
        while True:
            page = await self._events.read(projection.of.stream(key), after=version)
            for stored in page:
                version = stored.version
                if stored.name in projection.vocabulary.names:
                    raw = (*stored.cursor, stored.stream, version, *stored.type, stored.data_json, stored.recorded_at)
                    row = as_read_back(projection, projection.next(row, recorded_event(projection, raw), key), key)
            if not page:
                break
        if row is None:
            return None
        shown: dict[str, Any] = dump(row, projection.row)
        amounts = [column.name for column in projection.columns if column.type == "numeric"]
        return shown | {name: f"{Decimal(shown[name]):f}" for name in amounts if shown[name] is not None}


def _in_utc(instant: str) -> str:
    """An instant in UTC, written as all others are."""
    return instant.removesuffix("+00:00") + "Z" if instant.endswith("+00:00") else instant


def _field(where: dict[str, str], said: str) -> str:
    """The filter whose value its column cannot have: the one that the database quotes."""
    return next((name for name, value in where.items() if f'"{value}"' in said), "query")
