"""Writes: each statement is one round trip and one commit, resent until it is answered.

Appends share commits: those that are ready when a connection is free go together, and none waits for more to come. A
statement that has to be sent again gives its connection back until then; those that wait for locks have half of the
connections at most.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence

from psycopg.rows import TupleRow
from sqlalchemy import URL

from app.amends.postgres.sqlstates import Verdict, log_text, verdict
from app.amends.postgres.statements.commit_connection import CommitConnection
from app.amends.postgres.statements.commit_connection import Parameters as Parameters
from app.amends.postgres.statements.messages import CommitMessage, PendingAnswer, shared_commit
from app.amends.postgres.statements.resending import AlreadyExists as AlreadyExists
from app.amends.postgres.statements.resending import deadline_after, unstorable_error
from domain.amends.errors import AmendsError, Unstorable
from workflows.amends.background import cancel_tasks

log = logging.getLogger("amends.store")

ANSWER_SECONDS = 20.0
"""How long an answer is waited for. A database that works ends a slow statement earlier (LIMITS), with an error: one
that is silent is away, or waits for a standby."""
PROBLEM_SECONDS = 10.0
"""How long a refusal by the database counts; a statement that is still needed has been sent again by then."""
STOP_SECONDS = 2.0
"""How long workers are waited for whose connections were cut off."""
MOST_TOGETHER = 64
MOST_CHARACTERS = 32 * 1024
"""The most that shares a commit: beyond that, several connections at once are quicker than one with everything."""


class Committer:
    """The writes of one process, on `connections` connections at a time."""

    def __init__(self, url: URL, connections: int) -> None:
        self._url, self._size, self._stopping = url, connections, False
        self.on_commit: Callable[[], None] = _nothing
        self._ready: deque[CommitMessage | str] = deque()
        self._held_up: deque[CommitMessage] = deque()
        self._waiting_for_others, self._most_waiting = 0, max(1, connections // 2)
        self._idle: list[asyncio.Future[None]] = []
        self._sharing: defaultdict[str, deque[PendingAnswer]] = defaultdict(deque)
        self._workers = dict[asyncio.Task[None], CommitConnection]()
        self._problems = dict[str, tuple[float, str]]()

    @property
    def problem(self) -> str | None:
        """The error of a statement that is sent again because of it; None if all are taken."""
        now = time.monotonic()
        return next((said for at, said in self._problems.values() if now - at < PROBLEM_SECONDS), None)

    def start(self) -> None:
        for _ in range(self._size):
            self._begin()

    def _begin(self) -> None:
        connection = CommitConnection(self._url)
        worker = asyncio.create_task(self._work(connection), name="committer")
        self._workers[worker] = connection
        worker.add_done_callback(self._workers.pop)

    async def stop(self) -> None:
        """End the workers; statements that still wait are not sent, and those that were sent are not cancelled."""
        self._stopping, workers = True, list(self._workers)
        await self.resend_all()
        for idle in self._idle:
            idle.cancel()
        if workers:
            await asyncio.wait(workers, timeout=STOP_SECONDS)
        await cancel_tasks(*workers)

    async def resend_all(self) -> None:
        """Another run of the server answers: statements that were sent before are sent again, on other connections."""
        for connection in self._workers.values():
            connection.sever()

    async def run(self, statement: str, parameters: Parameters, patience: float | None = None) -> list[TupleRow]:
        """Run one statement in a commit of its own and return its rows.

        The statement must be safe to resend: the answer to one that was carried out may be lost. While the database is
        away it is resent for ever; with `patience` (in seconds), raises Unavailable, and a statement that has not been
        sent by then never is. Raises Unstorable for values that will never be taken, and Contended after as many tries
        as its errors allow (app.amends.postgres.sqlstates).
        """
        caller = PendingAnswer(deadline_after(patience), asyncio.get_running_loop().create_future())
        self._put(CommitMessage(statement, parameters, [caller]))
        return await caller.answer

    async def run_shared(self, statement: str, item: str, patience: float | None = None) -> TupleRow:
        """The same for one item of a statement that takes a JSON array of them; returns its row.

        The statement answers each item with a row: its number from 0, its outcome, and further columns. It keeps items
        apart; one whose outcome is `busy`, and all of a commit that fails, go again alone.
        """
        caller = PendingAnswer(deadline_after(patience), asyncio.get_running_loop().create_future(), item)
        if not self._sharing[statement]:
            self._put(statement)
        self._sharing[statement].append(caller)
        return (await caller.answer)[0]

    def _put(self, ready: CommitMessage | str) -> None:
        """Hand a message to the connection that was busy last: its caches are warm."""
        if isinstance(ready, CommitMessage) and ready.held_up:
            self._held_up.append(ready)
        else:
            self._ready.append(ready)
        while self._idle:
            if not (idle := self._idle.pop()).done():
                idle.set_result(None)
                return

    async def _work(self, connection: CommitConnection) -> None:
        async with connection:
            while not self._stopping:
                while message := self._taken():
                    connection.held_up = message.held_up
                    self._waiting_for_others += connection.held_up
                    try:
                        await self._send(message, connection)
                    except Exception as bug:
                        log.exception("A commit failed by a fault of Amends itself.")
                        message.fail_callers(Unstorable(f"a fault of Amends itself: {type(bug).__name__}"))
                    finally:
                        self._no_longer_held_up(connection)
                    if connection.given_up or self._stopping:
                        return
                idle = asyncio.get_running_loop().create_future()
                self._idle.append(idle)
                await idle

    def _no_longer_held_up(self, connection: CommitConnection) -> None:
        self._waiting_for_others -= connection.held_up
        connection.held_up = False

    def _taken(self) -> CommitMessage | None:
        """The next message with a caller that still waits, if this connection may send one now."""
        while self._ready or self._held_up:
            if self._held_up and self._waiting_for_others < self._most_waiting:
                message = self._held_up.popleft()
            elif self._ready:
                ready = self._ready.popleft()
                message = self._shared(ready) if isinstance(ready, str) else ready
            else:
                return None
            if message.is_wanted:
                return message
        return None

    def _shared(self, statement: str) -> CommitMessage:
        """All items that are ready now, up to a limit; the rest goes with the next commit."""
        waiting, callers, size = self._sharing[statement], list[PendingAnswer](), 0
        while waiting and len(callers) < MOST_TOGETHER and size < MOST_CHARACTERS:
            caller = waiting.popleft()
            if not caller.answer.done():
                callers.append(caller)
                size += len(caller.item)
        if waiting:
            self._put(statement)
        return shared_commit(statement, callers)

    async def _send(self, message: CommitMessage, connection: CommitConnection) -> None:
        """Send a message once. One that has to be sent again comes back when it is time, and blocks no other
        meanwhile."""
        overdue = self._timed(message, connection)
        try:
            await connection.open()
            for caller in message.callers:
                caller.was_sent = True
            rows = await connection.execute(message.statement, message.parameters)
        except Exception as error:
            if not connection.given_up and self._failed(message, error) is Verdict.AWAY and not self._stopping:
                await connection.wait_until_back()
        else:
            if not connection.given_up:
                self._alone(message.statement, message.answer_callers(rows), held_up=True)
            self._problems.pop(message.statement, None)
            self.on_commit()
        finally:
            overdue.cancel()

    def _timed(self, message: CommitMessage, connection: CommitConnection) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._overdue, message, connection)

    def _overdue(self, message: CommitMessage, connection: CommitConnection) -> None:
        """Go on with another connection, unless too many commits are left behind already: each keeps a session busy."""
        if sum(each.given_up for each in self._workers.values()) >= self._size or self._stopping:
            return
        connection.given_up = True
        self._no_longer_held_up(connection)
        self._begin()
        self._failed(message, TimeoutError(f"no answer within {ANSWER_SECONDS:g} s"))

    def _failed(self, message: CommitMessage, error: Exception) -> Verdict:
        found = verdict(error, ours=True)
        if found.is_alarming or found is Verdict.AWAY:
            self._problems[message.statement] = time.monotonic(), log_text(error, found)
        if len(message.callers) > 1:
            self._alone(message.statement, message.callers)
        elif found is Verdict.NEVER:
            message.fail_callers(unstorable_error(error))
        else:
            self._later(message, error, found)
        return found

    def _later(self, message: CommitMessage, error: Exception, found: Verdict) -> None:
        try:
            wait = message.tries.wait_after(error)
        except AmendsError as over:
            message.fail_callers(over)
        else:
            message.held_up = found is Verdict.BUSY
            asyncio.get_running_loop().call_later(wait, self._put, message)

    def _alone(self, statement: str, callers: Sequence[PendingAnswer], held_up: bool = False) -> None:
        for caller in callers:
            self._put(shared_commit(statement, [caller], held_up))


def _nothing() -> None:
    """Nobody listens yet."""
