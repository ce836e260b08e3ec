"""The unit of work of a transaction step: it joins the committer, unless it runs SQL of its own."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow, dict_row

from app.amends.postgres.connections.sessions import SessionGuard
from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.sqlstates import (
    CONTENDED_TRIES,
    Sqlstate,
    Verdict,
    conflicting_version,
    is_large,
    is_version_conflict,
    log_text,
    message_of,
    sqlstate,
)
from app.amends.postgres.statements.committer import Parameters
from app.amends.postgres.statements.reader import Reader
from app.amends.postgres.statements.resending import deadline_after, enter_transaction, unstorable_error
from app.amends.store.aggregates.loader import AggregateLoader
from app.amends.store.events.writer import EventWriter
from app.amends.store.sagas.encoding import commit_parameters
from app.amends.store.sagas.own_sql import CONTROL, Aborted, EndsTransaction, OwnTransaction, own_transaction
from domain.amends.aggregate import Aggregate
from domain.amends.errors import AmendsError, Unavailable
from workflows.amends.ports.execution_log import (
    ChildIdTaken,
    Committed,
    Fenced,
    ForeignStep,
    RecordLost,
    SagaMissing,
    StepCommit,
    StreamMoved,
    TransactionInterrupted,
)
from workflows.amends.run_calls import MisplacedCall

S = TypeVar("S")
E = TypeVar("E")

SAGAS = load_statements(Path(__file__).with_name("sagas.sql"))
PATIENCE, BRIEF = 0.5, 0.1
"""How long a step waits for the database, in seconds, within its own time; shorter waits than the second are not
counted."""
SILENT = "the database did not answer in the time that the step has"

log = logging.getLogger("amends.store")


def commit_outcome(row: TupleRow) -> Committed | StreamMoved:
    """The answer of `commit_step`. Raises Fenced, Missing, Gone, Taken or ForeignStep."""
    outcome, stream, expected, actual = row
    match outcome:
        case "committed":
            return Committed()
        case "stale":
            return StreamMoved(stream, expected, actual)
        case "fenced":
            raise Fenced
        case "missing":
            raise SagaMissing
        case "gone":
            raise RecordLost
        case "taken":
            raise ChildIdTaken
        case _:
            raise ForeignStep


class PostgresTransaction:
    """Reads, own SQL and the commit of one step of one saga, one after the other, even if they are called concurrently.

    An error that passes, or that may come again and again, is raised as TransactionInterrupted and stays so: the step
    runs again whatever its code made of that. An error of a step's own SQL that never passes is raised as it is.

    The database is waited for in here for PATIENCE seconds at most, since that is time of the step: an interrupted step
    waits outside. A call after the end of the unit is refused, and a connection that comes too late is given back.
    """

    def __init__(self, writer: EventWriter, reader: Reader, loader: AggregateLoader, saga: str, owner: str) -> None:
        self._writer, self._reader, self._loader = writer, reader, loader
        self._saga, self._owner = saga, owner
        self._began, self._turn = time.monotonic(), asyncio.Lock()
        self._call: asyncio.Timeout | None = None
        self._own: OwnTransaction | None = None
        self._stack, self._left = AsyncExitStack(), False
        self._aborted_by: Exception | None = None
        self._over: Exception | None = None
        self.interrupted: TransactionInterrupted | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left, self._over = True, self._over or _too_late()
        if self._call:
            self._call.reschedule(asyncio.get_running_loop().time())
        async with self._turn:
            await self._give_back()

    async def load(self, aggregate: Aggregate[S, E], key: str) -> tuple[S, int]:
        async with self._calling():
            return await self._loader.load(aggregate, aggregate.stream(key), ask=self._ask)

    async def execute(self, sql: str, parameters: Parameters | None) -> list[dict[str, Any]]:
        async with self._calling():
            if isinstance(sql, str) and (control := CONTROL.match(sql)):
                raise self._end(EndsTransaction(control[1]))
            own = self._own = self._own or await self._begin()
            self._require_open()
            async with self._judged(own, ours=False), own.connection.cursor(row_factory=dict_row) as cursor:
                await cursor.execute(sql, parameters)
                rows, did = await cursor.fetchall() if cursor.description else [], cursor.statusmessage
            if did == "COMMIT" or not own.is_open:
                raise self._end(EndsTransaction(did or sql))
            own.note_statement(sql, did)
            return rows

    async def commit(self, step_commit: StepCommit) -> Committed | StreamMoved:
        """Commit once earlier calls have been answered; later ones are refused."""
        async with self._turn:
            self._require_open()
            self._over = _too_late()
            parameters = commit_parameters(self._saga, self._owner, step_commit)
            if self._own:
                return await self._commit_own(self._own, parameters, step_commit)
            return commit_outcome(await self._writer.commit(SAGAS["commit_step"], parameters, step_commit.events))

    async def _commit_own(
        self, own: OwnTransaction, parameters: tuple[object, ...], step_commit: StepCommit
    ) -> Committed | StreamMoved:
        """Commit the step's own SQL together with the step commit."""
        before = self._writer.recent.end
        try:
            outcome = await self._written(own, parameters, step_commit)
        except (psycopg.Error, UnicodeError) as refused:
            raise unstorable_error(refused) from refused
        if isinstance(outcome, StreamMoved):
            return outcome
        async with self._judged(own, ours=True, large=is_large(parameters)):
            await self._writer.write_read_models(own.connection, step_commit.events)
        try:
            async with self._judged(own, ours=False):
                await own.connection.commit()
        except TransactionInterrupted:
            if not own.connection.closed or not await self._landed(step_commit):
                raise
            self.interrupted = None
        self._writer.recent.note_committed(step_commit.events, before)
        return outcome

    async def _written(
        self, own: OwnTransaction, parameters: tuple[object, ...], step_commit: StepCommit
    ) -> Committed | StreamMoved:
        """The answer of `commit_step`. The snapshot of this transaction may be too old to see another writer's
        events."""
        async with self._judged(own, ours=True, large=is_large(parameters)):
            try:
                rows = await (await own.connection.execute(SAGAS["commit_step"], parameters)).fetchall()
            except psycopg.Error as error:
                if not is_version_conflict(error):
                    raise
                stream, version = conflicting_version(error) or (step_commit.events[0].stream, 0)
                return StreamMoved(stream, step_commit.expected.get(stream, version - 1), version)
        return commit_outcome(rows[0])

    async def _landed(self, step_commit: StepCommit) -> bool:
        """Whether a commit whose answer was lost was carried out; waits until it has ended either way."""
        streams = sorted({event.stream for event in step_commit.events})
        rows = await self._writer.committer.run(SAGAS["landed"], (streams, step_commit.events[0].id))
        return bool(rows[0][0])

    async def _begin(self) -> OwnTransaction:
        """A transaction of its own, which begins within PATIENCE."""
        until = deadline_after(PATIENCE)
        assert until is not None
        async with self._waiting():
            return await enter_transaction(
                self._stack, "The begin of a step's own SQL", until, partial(own_transaction, self._reader, until)
            )

    async def _ask(self, statement: str, parameters: Mapping[str, Any]) -> list[TupleRow]:
        async with self._waiting():
            if self._own:
                async with self._judged(self._own, ours=True):
                    return await (await self._own.connection.execute(statement, parameters)).fetchall()
            return await self._reader.tuples(statement, parameters, PATIENCE)

    @asynccontextmanager
    async def _calling(self) -> AsyncIterator[None]:
        """One call of the step, after those before it have been answered; the end of the unit cuts it short."""
        async with self._turn:
            self._require_open()
            try:
                async with asyncio.timeout(None) as self._call:
                    yield
            except TimeoutError as cut:
                if self._left:
                    raise _too_late() from cut
                raise
            finally:
                self._call = None
                if self._left:
                    await self._give_back()

    @asynccontextmanager
    async def _waiting(self) -> AsyncIterator[None]:
        """A wait for the database. One that does not end in time interrupts the step; if the step itself took most of
        the time, that counts as a try."""
        began = time.monotonic()
        try:
            yield
        except Unavailable as away:
            self.interrupted = TransactionInterrupted(message_of(away.__cause__ or away))
            raise self.interrupted from away.__cause__
        except asyncio.CancelledError:
            waited = time.monotonic() - began
            if waited > BRIEF and not self.interrupted:
                blameless = waited > max(PATIENCE, (time.monotonic() - self._began) / 2)
                self.interrupted = TransactionInterrupted(SILENT, None if blameless else CONTENDED_TRIES)
            raise
        except AmendsError as over:
            raise self._end(over) from over.__cause__

    async def _give_back(self) -> None:
        try:
            await self._stack.aclose()
        except (psycopg.Error, OSError) as lost:  # what was not committed is undone by that too
            log.debug("The connection of a step is not given back: %s", lost)

    def _require_open(self) -> None:
        """Raise the result of this transaction again, if the step's code went on after it."""
        if over := self._over or self.interrupted:
            raise over

    def _end(self, over: AmendsError) -> AmendsError:
        self._over = over
        return over

    @asynccontextmanager
    async def _judged(self, own: OwnTransaction, ours: bool, large: bool = False) -> AsyncIterator[None]:
        """Raise TransactionInterrupted for an error of a statement that passes or is counted, and Aborted for one that
        only says that an earlier one was not handled."""
        try:
            async with SessionGuard(own.connection):
                yield
        except Exception as error:
            if self._aborted_by and sqlstate(error) == Sqlstate.IN_FAILED_TRANSACTION:
                raise Aborted(message_of(self._aborted_by)) from self._aborted_by
            found = own.verdict(error, ours, large)
            if found is not Verdict.NEVER:
                raise self._interrupt(error, found) from error
            if own.connection.info.transaction_status is TransactionStatus.INERROR:
                self._aborted_by = error
            raise
        self._aborted_by = None

    def _interrupt(self, error: Exception, found: Verdict) -> TransactionInterrupted:
        if found.is_alarming:
            log.error("A step of saga %s is run again: %s", self._saga, log_text(error, found))
        self.interrupted = TransactionInterrupted(message_of(error), found.tries)
        return self.interrupted


def _too_late() -> MisplacedCall:
    return MisplacedCall("tx", "the transaction is over: what it does must be awaited in it")
