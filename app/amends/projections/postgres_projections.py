"""The store of read models in Postgres: builds and their tables, and the commits of runners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from app.amends.postgres.statements.committer import Committer
from app.amends.postgres.statements.reader import Reader
from app.amends.projections import SQL
from app.amends.projections.administration import administer
from app.amends.projections.counting import count_events
from app.amends.projections.failures import PostgresErrors, failure_text, may_pass
from app.amends.projections.statement_rows import (
    build_parameters,
    commit_parameters,
    parse_build,
    parse_feed_events,
    parse_table_shape,
)
from app.amends.projections.views import have_reached, visible_rows
from domain.amends.event import Cause
from domain.amends.projection import Projection
from workflows.amends.ports.event_store import FeedCursor, IdempotencyKey
from workflows.amends.ports.projection_builds import (
    COUNTED,
    GLANCE,
    LEASE,
    LISTED,
    BuildCommit,
    BuildLag,
    BuildTarget,
    DeadLetter,
    FeedEvent,
    FeedPage,
    LeaseLost,
    ProjectionBuild,
    RequestedAction,
    ServerChanged,
    SkippedEvent,
    TableShape,
)
from workflows.amends.ports.projection_store import Body, Operation
from workflows.amends.projections.feed import types_of

PATIENCE = 10.0
"""How long a report waits for the database, in seconds."""
GIVE_BACK_SECONDS = 2.0
TRIES, PAUSE_SECONDS = 3, 0.2
"""How often a commit is tried whose error may pass in a moment, before a row or the table is blamed."""


class PostgresProjections:
    """The read models of one process; workflows.amends.ports.projection_store says what it promises."""

    errors = PostgresErrors()

    def __init__(self, committer: Committer, reader: Reader) -> None:
        self._committer, self._reader = committer, reader
        self.on_commit: Callable[[], None] = _nothing

    # -- builds and dead letters

    async def builds(self, name: str | None = None, patiently: bool = False) -> list[ProjectionBuild]:
        rows = await self._reader.rows(SQL["builds"], {"name": name}, patience=None if patiently else PATIENCE)
        return list(map(parse_build, rows))

    async def create_first_build(self, projection: Projection[Any, Any]) -> str | None:
        try:
            async with self._reader.connection() as connection:
                await connection.execute(SQL["open_build"], build_parameters(projection, first=True))
        except (psycopg.Error, OSError) as error:
            return failure_text(error)
        return None

    async def creation_obstacle(self, name: str) -> str | None:
        ((there,),) = await self._reader.tuples(SQL["obstacle"], (name,))
        return f"views.{name} is there already and is no read model" if there else None

    async def note_reads(self, projections: Collection[Projection[Any, Any]]) -> None:
        async with self._reader.transaction() as connection:
            for each in projections:
                parameters = {"name": each.name, "version": each.version, "types": types_of(each)}
                await connection.execute(SQL["reads"], parameters)
                for names in each.vocabulary.names_of_renamed_events:
                    await connection.execute(SQL["renamed"], {"name": each.name, "types": sorted(names)})

    async def lag(self, build: ProjectionBuild) -> BuildLag:
        parameters, events, seconds = _after(build.cursor) | {"limit": COUNTED}, 0, 0.0
        for type in build.types:  # each by itself: a rare one is found by its index wherever the build stands
            (row,) = await self._reader.rows(SQL["lag"], parameters | {"type": type}, anew=True)
            events += row["events"]
            if row["first"]:
                seconds = max(seconds, (row["now"] - row["first"]).total_seconds())
        return BuildLag(min(events, COUNTED), seconds)

    async def table_shape(self, target: BuildTarget, patiently: bool = False) -> TableShape:
        patience = None if patiently else PATIENCE
        return parse_table_shape(await self._reader.tuples(SQL["shape"], vars(target), patience=patience))

    async def dead_letters(self, name: str | None = None, key: str | None = None) -> list[DeadLetter]:
        wanted = {"name": name, "key": key, "limit": GLANCE if name is None else LISTED}
        return [DeadLetter(**row) for row in await self._reader.rows(SQL["set_aside"], wanted)]

    async def skipped_events(self, name: str) -> list[SkippedEvent]:
        return [SkippedEvent(**row) for row in await self._reader.rows(SQL["skipped"], {"name": name, "limit": LISTED})]

    # -- runners

    async def take_lease(self, target: BuildTarget, runner: str) -> bool:
        (taken,) = await self._committer.run(SQL["take"], (*target.as_tuple, runner, LEASE))
        return bool(taken[0])

    async def release_lease(self, target: BuildTarget, runner: str) -> None:
        await self._committer.run(SQL["give_back"], (*target.as_tuple, runner), GIVE_BACK_SECONDS)

    async def read_page(self, target: BuildTarget, types: Sequence[str], after: FeedCursor, limit: int) -> FeedPage:
        wanted = _after(after) | {"types": types, "limit": limit} | vars(target)
        rows = await self._reader.tuples(SQL["page"], wanted, patience=None)
        if not rows:
            return FeedPage((), None, False)
        *found, last = rows
        return FeedPage(parse_feed_events(found), FeedCursor(*last[:3]), last[4] >= limit, int(last[7]), last[5])

    async def rows_json(self, target: BuildTarget, keys: Sequence[str]) -> str:
        ((found,),) = await self._ask(SQL["get_rows"], (*target.as_tuple, list(keys)))
        return str(found)

    async def dead_letter_keys(self, target: BuildTarget) -> set[str]:
        return {key for (key,) in await self._reader.tuples(SQL["aside_keys"], target.as_tuple, patience=None)}

    async def skipped_positions(self, name: str) -> set[int]:
        found = await self._reader.tuples(SQL["skipped_positions"], (name,), patience=None)
        return {position for (position,) in found}

    async def requested_actions(self, target: BuildTarget) -> list[tuple[str, RequestedAction]]:
        rows = await self._reader.tuples(SQL["requested_actions"], target.as_tuple, patience=None)
        return [(key, action) for key, action in rows]

    async def dead_letter_events(self, target: BuildTarget, key: str) -> list[FeedEvent]:
        return parse_feed_events(await self._reader.tuples(SQL["aside_events"], (*target.as_tuple, key), patience=None))

    async def note_expected_events(self, target: BuildTarget, types: Sequence[str]) -> None:
        expected = await count_events(self._reader, types)
        await self._committer.run(SQL["expect"], {"expected": expected} | vars(target))

    async def commit(self, commit: BuildCommit) -> None:
        for left in reversed(range(TRIES)):
            try:
                await self._commit(commit)
                return
            except (LeaseLost, ServerChanged):
                raise
            except Exception as refused:
                if not left or not may_pass(refused):
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def _commit(self, commit: BuildCommit) -> None:
        """Write once. If the answer is lost, the checkpoint, read anew, says whether it was carried out."""
        ((stands,),) = await self._ask(SQL["write"], commit_parameters(commit))
        if stands is None:
            raise ServerChanged
        if not stands:
            raise LeaseLost

    @asynccontextmanager
    async def row_trial(self, target: BuildTarget) -> AsyncIterator[_Trial]:
        async with self._reader.connection() as connection, connection.transaction(force_rollback=True):
            yield _Trial(connection, target)

    async def restore_view(self, name: str) -> None:
        await self._ask(SQL["restore_view"], (name,))

    async def note_failure(self, target: BuildTarget, runner: str, failure: str) -> None:
        noted = {"failure": failure, "runner": runner} | vars(target)
        await self._committer.run(SQL["failed"], noted, GIVE_BACK_SECONDS)

    # -- people

    async def administer(self, name: str, cause: Cause, once: IdempotencyKey | None, operation: Operation) -> Body:
        body = await administer(self._reader, name, cause, once, operation)
        self.on_commit()
        return body

    async def visible_rows(
        self, projection: Projection[Any, Any], where: Mapping[str, str], after: str | None, limit: int
    ) -> list[dict[str, Any]]:
        return await visible_rows(self._reader, projection, where, after, limit)

    async def have_reached(self, name: str, cursors: Sequence[FeedCursor]) -> list[bool | None]:
        return await have_reached(self._reader, name, cursors)

    async def _ask(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[TupleRow]:
        """Run a statement once; the caller of the runner tries again."""
        async with self._reader.connection() as connection:
            return await (await connection.execute(statement, parameters)).fetchall()


class _Trial:
    """A transaction that is rolled back, in which rows are put into the table of a build."""

    def __init__(self, connection: AsyncConnection[TupleRow], target: BuildTarget) -> None:
        self._connection, self._target = connection, target

    async def rows_json(self, keys: Sequence[str]) -> str:
        ((found,),) = await self._ask(SQL["get_rows"], (*self._target.as_tuple, list(keys)))
        return str(found)

    async def events_at(self, positions: Sequence[int]) -> list[FeedEvent]:
        return parse_feed_events(await self._ask(SQL["events_at"], (list(positions),)))

    async def put_rows(self, rows: str, gone: Sequence[str]) -> None:
        async with self._connection.transaction():
            await self._connection.execute(SQL["put_rows"], (*self._target.as_tuple, rows, list(gone)))

    async def _ask(self, statement: str, parameters: Sequence[Any]) -> list[TupleRow]:
        return await (await self._connection.execute(statement, parameters)).fetchall()


def _nothing() -> None:
    """The notification of a commit while there is no listener."""


def _after(cursor: FeedCursor) -> dict[str, Any]:
    """A place as statements take it."""
    return cursor._asdict() | {"transaction_id": str(cursor.transaction_id)}
