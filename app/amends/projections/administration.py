"""The transaction of an operation on a read model: it is one commit with its event and the answer to its request."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from app.amends.postgres.sqlstates import Sqlstate, message_of, sqlstate
from app.amends.postgres.statements.reader import Reader
from app.amends.projections import SQL
from app.amends.projections.statement_rows import build_parameters
from app.amends.store.events.writer import append_within, lock_streams
from app.amends.store.idempotent_requests import earlier_answer
from domain.amends.errors import Conflict
from domain.amends.event import Cause
from domain.amends.projection import Projection
from domain.amends.read_model.events import read_model_stream
from workflows.amends.ports.event_store import IdempotencyKey, StoredAnswer, new_amends_event
from workflows.amends.ports.projection_builds import LISTED, DeadLetter, ProjectionBuild, RequestedAction
from workflows.amends.ports.projection_store import Body, Operation, OperationNotYetPossible, SwitchOutcome


async def administer(
    reader: Reader, name: str, cause: Cause, once: IdempotencyKey | None, operation: Operation
) -> Body:
    """Carry out an operation, append its events to the read model's own stream, and keep the answer."""
    locks = [read_model_stream(name), *([f"request {once.key}"] if once else [])]
    async with reader.transaction() as connection:
        await lock_streams(connection, locks)
        if once and (known := await earlier_answer(connection, once)) is not None:
            return known
        events, body = await operation(_Transaction(connection))
        body = {"name": name} | body
        answer = StoredAnswer(once.key, once.digest, body) if once else None
        cursor = await append_within(
            connection, [new_amends_event(read_model_stream(name), each, cause) for each in events], answer
        )
    return body | {"position": cursor}


class _Transaction:
    """Its statements. None waits for more than a moment: while one waits for a lock, the feed stops for all readers."""

    def __init__(self, connection: AsyncConnection[TupleRow]) -> None:
        self._connection = connection

    async def open_build(self, projection: Projection[Any, Any]) -> int | None:
        try:
            build: int | None = await self._one(SQL["open_build"], build_parameters(projection, first=False))
        except psycopg.Error as foreign:
            if sqlstate(foreign) != Sqlstate.DUPLICATE_TABLE:
                raise
            raise Conflict("view", f"{message_of(foreign)}: rename it, or drop it.") from foreign
        return build

    async def promote(self, build: ProjectionBuild, less: bool) -> SwitchOutcome:
        return await self._switch("promote", build, less)

    async def shown_less(self, build: ProjectionBuild) -> list[str]:
        rows = await self._connection.execute(SQL["shown_less"], {"name": build.name, "build": build.build})
        return [key for (key,) in await rows.fetchall()]

    async def drop(self, build: ProjectionBuild) -> SwitchOutcome:
        return await self._switch("drop", build)

    async def drop_model(self, build: ProjectionBuild) -> SwitchOutcome:
        return await self._switch("drop_model", build)

    async def request_action(self, name: str, key: str, action: RequestedAction) -> list[DeadLetter]:
        wanted = {"name": name, "key": key, "action": action, "limit": LISTED}
        for _ in range(2):  # a runner may be at it: what it has set aside anew is seen by another statement
            noted = await (await self._connection.execute(SQL["request_action"], wanted)).fetchall()
            if noted:
                break
        builds = {build for (build,) in noted}
        async with self._connection.cursor(row_factory=class_row(DeadLetter)) as cursor:
            await cursor.execute(SQL["set_aside"], wanted)
            return [each for each in await cursor.fetchall() if each.build in builds]

    async def _switch(self, how: str, build: ProjectionBuild, less: bool = False) -> SwitchOutcome:
        try:
            parameters = {"name": build.name, "build": build.build, "less": less}
            outcome: SwitchOutcome = await self._one(SQL[how], parameters)
        except psycopg.Error as error:
            if (refused := _refused(error, build)) is None:
                raise
            raise refused from error
        return outcome

    async def _one(self, statement: str, parameters: Any) -> Any:
        """The one value of a statement's only row."""
        row = await (await self._connection.execute(statement, parameters)).fetchone()
        assert row is not None
        return row[0]


def _refused(error: psycopg.Error, build: ProjectionBuild) -> Exception | None:
    """The conflict that an error of a promotion or a drop stands for; None if it is another error."""
    match sqlstate(error):
        case Sqlstate.DEPENDENT_OBJECTS:
            return Conflict("needed", f"Something else stands on this view: {error.diag.message_detail}")
        case Sqlstate.UNDEFINED_TABLE | Sqlstate.UNDEFINED_COLUMN:
            problem = f"{build.name} build {build.build} cannot be shown, or not by the same rules: {message_of(error)}"
            return Conflict("table", problem)
        case Sqlstate.WRONG_OBJECT_TYPE | Sqlstate.DUPLICATE_TABLE:
            problem = (
                f"Something of another kind has the name of the view or a table of {build.name}: {message_of(error)}"
            )
            return Conflict("view", problem)
        case Sqlstate.INSUFFICIENT_PRIVILEGE:
            return Conflict("rights", f"The owner of Amends' functions may not do that: {message_of(error)}")
        case Sqlstate.LOCK_NOT_AVAILABLE:
            return OperationNotYetPossible(busy=True)
        case _:
            return None
