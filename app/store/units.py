"""One transaction step's unit of work: joins the committer, unless it runs SQL of its own."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import psycopg
from psycopg import AsyncConnection, IsolationLevel
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow, dict_row

from app.store.committer import Committer, Parameters
from app.store.database import Guarded
from app.store.encoding import checkpoint_text, events_text, family_text
from app.store.inline import InlineWriter
from app.store.reader import Reader
from app.store.resending import unstorable
from app.store.sql import statements
from app.store.sqlstates import Verdict, described, overtaken, said, sqlstate, verdict, version_taken
from app.store.states import States
from domain.aggregate import Aggregate
from domain.errors import AmendsError
from workflows.codec import text
from workflows.ports import Committed, Entry, Fenced, ForeignStep, Interrupted, Stale, Taken

S = TypeVar("S")
E = TypeVar("E")

SAGAS = statements("sagas.sql")
CONTROL = re.compile(
    r"(?:\s|;|--[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)*+"
    r"(commit|end|abort|begin|start\s+transaction|prepare\s+transaction"
    r"|rollback(?!\s+(?:(?:work|transaction)\s+)?to\b))\b",
    re.IGNORECASE,
)
"""A statement that would begin or end a transaction, with its comments; one that goes back to a savepoint would not."""

log = logging.getLogger("amends.store")


def commit_parameters(saga: str, owner: str, entry: Entry) -> tuple[object, ...]:
    """An entry as the parameters of `commit_step`."""
    change = entry.change
    return (
        saga,
        owner,
        events_text(entry.events),
        text(dict(entry.expected)),
        checkpoint_text(entry.checkpoint),
        change and change.status,
        change and change.reason,
        entry.park,
        change and change.waiting_for and text({"for": change.waiting_for, "due": change.due_at}),
        family_text(entry.start, entry.recall),
    )


def committed(rows: list[TupleRow]) -> Committed | Stale:
    """What `commit_step` answered. Raises Fenced, Taken or ForeignStep."""
    outcome, stream, expected, actual = rows[0]
    match outcome:
        case "committed":
            return Committed()
        case "stale":
            return Stale(stream, expected, actual)
        case "fenced":
            raise Fenced
        case "taken":
            raise Taken
        case _:
            raise ForeignStep


class Aborted(AmendsError):
    """An earlier statement of this step has failed, and its transaction with it: {problem}

    A step that wants to go on after an error sets a savepoint before it.
    """

    problem: str


class EndsTransaction(AmendsError):
    """A step's own SQL may neither begin nor end a transaction, its commit does that: {statement!r} is refused."""

    statement: str


class PostgresUnit:
    """Reads, own SQL and the commit of one step of one saga.

    What passes, and what may come again and again, is raised as Interrupted and stays so: the step runs again whatever
    its code made of that. What never passes in a step's own SQL is raised as it is.
    """

    def __init__(
        self,
        committer: Committer,
        reader: Reader,
        states: States,
        saga: str,
        owner: str,
        inline: InlineWriter | None = None,
    ) -> None:
        self._committer, self._reader, self._states, self._inline = committer, reader, states, inline
        self._saga, self._owner = saga, owner
        self._own: AsyncConnection[TupleRow] | None = None
        self._stack = AsyncExitStack()
        self._aborted_by: Exception | None = None
        self._over: AmendsError | None = None
        self.interrupted: Interrupted | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._stack.__aexit__(kind, error, trace)
        except (psycopg.Error, OSError) as lost:  # what was not committed is undone by that too
            log.debug("The connection of a step is not given back: %s", lost)

    async def load(self, aggregate: Aggregate[S, E], key: str) -> tuple[S, int]:
        self._require_open()
        return await self._states.load(aggregate, aggregate.stream(key), self._ask)

    async def execute(self, sql: str, parameters: Parameters | None) -> list[dict[str, Any]]:
        self._require_open()
        if isinstance(sql, str) and (control := CONTROL.match(sql)):
            raise self._end(EndsTransaction(control[1]))
        if self._own is None:
            self._own = await self._begin()
        async with self._judging(self._own, ours=False), self._own.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(sql, parameters)
            rows, did = await cursor.fetchall() if cursor.description else [], cursor.statusmessage
        if did == "COMMIT" or self._own.info.transaction_status is not TransactionStatus.INTRANS:
            raise self._end(EndsTransaction(did or sql))
        return rows

    async def commit(self, entry: Entry) -> Committed | Stale:
        self._require_open()
        parameters = commit_parameters(self._saga, self._owner, entry)
        inline = self._inline if self._inline and self._inline.concerns(entry.events) else None
        if self._own:
            return await self._commit_own(self._own, parameters, entry, inline)
        if inline:
            return committed(await inline.commit(SAGAS["commit_step"], parameters, 0, entry.events))
        return committed(await self._committer.run(SAGAS["commit_step"], parameters))

    async def _commit_own(
        self,
        own: AsyncConnection[TupleRow],
        parameters: tuple[object, ...],
        entry: Entry,
        inline: InlineWriter | None,
    ) -> Committed | Stale:
        """Commit what the step did by itself, with its entry."""
        try:
            outcome = await self._written(own, parameters, entry)
        except (psycopg.Error, UnicodeError) as refused:
            raise unstorable(refused) from refused
        if isinstance(outcome, Stale):
            return outcome
        if inline:
            async with self._judging(own, ours=True):
                await inline.write(own, entry.events)
        try:
            async with self._judging(own, ours=False):
                await own.commit()
        except Interrupted:
            if not own.closed or not await self._landed(entry):
                raise
            self.interrupted = None
        return outcome

    async def _written(
        self, own: AsyncConnection[TupleRow], parameters: tuple[object, ...], entry: Entry
    ) -> Committed | Stale:
        """What `commit_step` answers. This transaction's snapshot may be too old to see who wrote to a stream first."""
        async with self._judging(own, ours=True):
            try:
                rows = await (await own.execute(SAGAS["commit_step"], parameters)).fetchall()
            except psycopg.errors.UniqueViolation as error:
                if not overtaken(error):
                    raise
                stream, version = version_taken(error) or (entry.events[0].stream, 0)
                return Stale(stream, entry.expected.get(stream, version - 1), version)
        return committed(rows)

    async def _landed(self, entry: Entry) -> bool:
        """Whether a commit whose answer was lost was carried out; waits until it has ended either way."""
        streams = sorted({event.stream for event in entry.events})
        rows = await self._committer.run(SAGAS["landed"], (streams, entry.events[0].id))
        return bool(rows[0][0])

    async def _begin(self) -> AsyncConnection[TupleRow]:
        """A transaction of its own, at REPEATABLE READ: its snapshot is older than its id, as the feed needs it."""
        try:
            connection = await self._stack.enter_async_context(self._reader.pool.connection())
            await connection.set_autocommit(False)
            self._stack.push_async_callback(_back_to_autocommit, connection)
            await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
            return connection
        except (psycopg.Error, OSError) as error:
            raise self._interrupt(error, verdict(error, ours=True)) from error

    async def _ask(self, statement: str, parameters: Mapping[str, Any]) -> list[TupleRow]:
        if self._own:
            async with self._judging(self._own, ours=True):
                return await (await self._own.execute(statement, parameters)).fetchall()
        try:
            return await self._reader.tuples(statement, parameters, patience=None)
        except AmendsError as over:
            raise self._end(over) from over.__cause__

    def _require_open(self) -> None:
        """Raise again what this transaction came to, if the step's code went on after that."""
        if over := self._over or self.interrupted:
            raise over

    def _end(self, over: AmendsError) -> AmendsError:
        self._over = over
        return over

    @asynccontextmanager
    async def _judging(self, own: AsyncConnection[TupleRow], ours: bool) -> AsyncIterator[None]:
        """Raise Interrupted for an error of a statement that passes or is counted, and Aborted for one that only says
        that an earlier one was not handled."""
        try:
            async with Guarded(own):
                yield
        except Exception as error:
            if self._aborted_by and sqlstate(error) == "25P02":
                raise Aborted(said(self._aborted_by)) from self._aborted_by
            found = verdict(error, ours)
            if found is not Verdict.NEVER:
                raise self._interrupt(error, found) from error
            if own.info.transaction_status is TransactionStatus.INERROR:
                self._aborted_by = error
            raise
        self._aborted_by = None

    def _interrupt(self, error: Exception, found: Verdict) -> Interrupted:
        if found.is_alarming:
            log.error("A step of saga %s is run again: %s", self._saga, described(error, found))
        self.interrupted = Interrupted(said(error), found.tries)
        return self.interrupted


async def _back_to_autocommit(connection: AsyncConnection[TupleRow]) -> None:
    if not connection.closed:
        await connection.rollback()
        await connection.set_isolation_level(None)
        await connection.set_autocommit(True)
