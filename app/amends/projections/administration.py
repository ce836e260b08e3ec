"""Operations on read models: each is one commit with its event and the answer to its request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from app.amends.postgres.sqlstates import Sqlstate, message_of, sqlstate
from app.amends.postgres.statements.reader import Reader
from app.amends.projections import SQL
from app.amends.projections.builds import ProjectionBuild, ProjectionBuilds, build_not_found, build_parameters
from app.amends.projections.dead_letters import DeadLetters, RequestedAction, note_action
from app.amends.projections.failures import short_key
from app.amends.store.events.writer import append_within, lock_streams
from app.amends.store.requests import IdempotencyKey, earlier_answer
from domain.amends.errors import Conflict, NotFound
from domain.amends.event import Cause
from domain.amends.read_model.events import (
    BuildBegun,
    BuildDropped,
    BuildPromoted,
    SetAsideRetried,
    SetAsideSkipped,
    stream,
)
from workflows.amends.ports.event_store import KeptAnswer, record_own

PATIENT_SECONDS = 5.0
"""How long a promotion waits until the new build has got as far as the live one, and until nobody reads the view."""
AGAIN_SECONDS = 0.05

Body = dict[str, Any]


class OperationOutcome(NamedTuple):
    """The result of an operation: its events, and the answer to its request."""

    events: Sequence[object]
    body: Body


Operation = Callable[[AsyncConnection[TupleRow]], Awaitable[OperationOutcome]]


class _NotYet(Exception):
    """It may be possible in a moment: the build is behind, or somebody reads the view."""

    def __init__(self, busy: bool) -> None:
        self.busy = busy


class ProjectionAdministration:
    """Rebuild, promote, drop, retry and skip, in one process. With a key the same request is carried out once.

    All raise NotFound for an unknown name, Conflict for an operation that is not possible now, and Unavailable.
    """

    def __init__(self, builds: ProjectionBuilds, reader: Reader, on_commit: Callable[[], None]) -> None:
        self._builds, self._reader, self._on_commit = builds, reader, on_commit
        self.dead_letters = DeadLetters(reader)

    async def rebuild(self, name: str, cause: Cause, once: IdempotencyKey | None = None) -> Body:
        """Start a build of the newest version beside the live one."""
        projection = self._builds.newest(name)
        if projection.mode == "live":
            raise Conflict("mode", f"{name} is live: it has no table, and is folded whenever somebody asks.")

        async def act(connection: AsyncConnection[TupleRow]) -> OperationOutcome:
            try:
                build = await _one(connection, SQL["open_build"], build_parameters(projection, first=False))
            except psycopg.Error as foreign:
                if sqlstate(foreign) != Sqlstate.DUPLICATE_TABLE:
                    raise
                raise Conflict("view", f"{message_of(foreign)}: rename it, or drop it.") from foreign
            if build is None:
                raise Conflict("building", f"{name} is being rebuilt already: promote it, or drop it first.")
            return OperationOutcome(
                [BuildBegun(name, build, projection.version)], {"build": build, "version": projection.version}
            )

        return await self._commit(name, cause, once, act)

    async def promote(
        self, name: str, build: int | None, cause: Cause, once: IdempotencyKey | None = None, less: bool = False
    ) -> Body:
        """Let the view show another build: the rebuilt one, or an older one. Readers see no less than before.

        With `less` keys may be set aside in it that the live build shows.
        """
        found = await self._builds.one(name, build or await self._builds.candidate(name))
        if found.caught_up_at is None and found.state != "live":
            raise await self._behind(found)

        async def act(connection: AsyncConnection[TupleRow]) -> OperationOutcome:
            outcome = await _switch(connection, "promote", found, less)
            if outcome == "behind":
                raise _NotYet(busy=False)
            if outcome == "live":
                raise Conflict("live", f"{name} build {found.build} is live already.")
            if outcome == "less":
                raise await _shows_less(connection, found)
            return OperationOutcome([BuildPromoted(name, found.build, found.version)], _body(found))

        return await self._patiently(found, partial(self._commit, name, cause, once, act))

    async def drop(self, name: str, build: int | None, cause: Cause, once: IdempotencyKey | None = None) -> Body:
        """Drop a build that is not live: the given one, else the only one beside the live one.

        Of a read model whose code is gone all builds are dropped, unless one is given.
        """
        await self._builds.require(name)
        if build is None and self._builds.is_orphaned(name):
            return await self._drop_orphan(name, cause, once)
        found = await self._builds.one(name, build or await self._builds.droppable(name))

        async def act(connection: AsyncConnection[TupleRow]) -> OperationOutcome:
            if await _switch(connection, "drop", found) == "live":
                raise Conflict("live", f"{name} build {found.build} is live: promote another one first.")
            return OperationOutcome(
                [BuildDropped(name, found.build, found.version)], _body(found) | {"dropped": found.build}
            )

        return await self._patiently(found, partial(self._commit, name, cause, once, act))

    async def _drop_orphan(self, name: str, cause: Cause, once: IdempotencyKey | None) -> Body:
        found = await self._builds.all(name)

        async def act(connection: AsyncConnection[TupleRow]) -> OperationOutcome:
            outcome = await _switch(connection, "drop_model", found[0])
            if outcome == "followed":
                raise Conflict(
                    "followed",
                    f"A server that has the code of {name} follows the feed for it, or did within the last 20 s:"
                    " stop it first, and ask again then.",
                )
            events = [BuildDropped(name, each.build, each.version) for each in found]
            return OperationOutcome(events, _body(found[-1]) | {"dropped": [each.build for each in found]})

        return await self._patiently(found[0], partial(self._commit, name, cause, once, act))

    async def request_action(
        self,
        name: str,
        key: str,
        action: RequestedAction,
        reason: str,
        cause: Cause,
        once: IdempotencyKey | None = None,
    ) -> Body:
        """Note the requested action for a key that is set aside: the runners of its builds perform it next.

        `retry` applies the event and those behind it once more; `skip` leaves out the one that cannot be applied.
        """
        self._builds.newest(name)
        event = SetAsideSkipped if action == "skip" else SetAsideRetried

        async def act(connection: AsyncConnection[TupleRow]) -> OperationOutcome:
            letters = await note_action(connection, name, key, action)
            if not letters:
                raise NotFound("set aside", f"{name} {key}", f"See what waits: ./run amends projections list {name}.")
            events = [event(name, each.build, key, str(each.event_id), each.error, reason) for each in letters]
            return OperationOutcome(events, {"key": key, "wish": action})

        return await self._commit(name, cause, once, act)

    async def _commit(self, name: str, cause: Cause, once: IdempotencyKey | None, operation: Operation) -> Body:
        """Carry out an operation, append its events to the read model's own stream, and keep the answer."""
        locks = [stream(name), *([f"request {once.key}"] if once else [])]
        async with self._reader.transaction() as connection:
            await lock_streams(connection, locks)
            if once and (known := await earlier_answer(connection, once)) is not None:
                return known
            events, body = await operation(connection)
            body = {"name": name} | body
            answer = KeptAnswer(once.key, once.digest, body) if once else None
            cursor = await append_within(connection, [record_own(stream(name), each, cause) for each in events], answer)
        self._on_commit()
        return body | {"position": cursor}

    async def _patiently(self, build: ProjectionBuild, attempt: Callable[[], Awaitable[Body]]) -> Body:
        until = time.monotonic() + PATIENT_SECONDS
        while True:
            try:
                return await attempt()
            except _NotYet as not_yet:
                if time.monotonic() > until:
                    raise (_busy(build) if not_yet.busy else await self._behind(build)) from not_yet
            await asyncio.sleep(AGAIN_SECONDS)

    async def _behind(self, build: ProjectionBuild) -> Conflict:
        lag = await self._builds.lag(build)
        return Conflict(
            "behind", f"{build.name} build {build.build} has not caught up: it is {lag.events} events behind."
        )


async def _switch(connection: AsyncConnection[TupleRow], how: str, build: ProjectionBuild, less: bool = False) -> str:
    """Try once, and wait a moment at most: while this transaction waits for a lock, the feed stops for all readers."""
    try:
        outcome = await _one(connection, SQL[how], {"name": build.name, "build": build.build, "less": less})
    except psycopg.Error as error:
        if (refused := _refused(error, build)) is None:
            raise
        raise refused from error
    if outcome == "unknown":
        raise build_not_found(build.name, build.build)
    return str(outcome)


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
            return _NotYet(busy=True)
        case _:
            return None


async def _shows_less(connection: AsyncConnection[TupleRow], build: ProjectionBuild) -> Conflict:
    wanted = {"name": build.name, "build": build.build}
    keys = [key for (key,) in await (await connection.execute(SQL["shown_less"], wanted)).fetchall()]
    first = ", ".join(map(short_key, keys[:5])) + (", …" if len(keys) > 5 else "")
    return Conflict(
        "set-aside",
        f"{build.name} build {build.build} would show less than the live one: {len(keys)} keys are set aside in it "
        f"({first}). Retry or skip them, or allow it: ?allow_set_aside=true, --allow-set-aside.",
    )


def _busy(build: ProjectionBuild) -> Conflict:
    return Conflict("busy", f"Somebody has been reading views.{build.name} for a while. Try again.")


def _body(build: ProjectionBuild) -> Body:
    return {"build": build.build, "version": build.version}


async def _one(connection: AsyncConnection[TupleRow], statement: str, parameters: Any) -> Any:
    """The one value of a statement's only row."""
    row = await (await connection.execute(statement, parameters)).fetchone()
    assert row is not None
    return row[0]
