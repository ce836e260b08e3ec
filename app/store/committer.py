"""Everything that is written goes through here: one round trip, one commit, resent until it is answered.

What cannot share a commit has one of its own. Appends can: whatever is ready when a connection is free goes together,
and nothing waits for more to come. What has to be sent again gives its connection back until then; what waits for
somebody's locks has half of the connections at most.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from sqlalchemy import URL

from app.store.database import Guarded, connect
from app.store.resending import Doubled as Doubled
from app.store.resending import Resending, Waits, deadline, unstorable
from app.store.resending import Unavailable as Unavailable
from app.store.sqlstates import Verdict, verdict
from domain.errors import AmendsError, Unstorable
from workflows.durable.tasks import end

log = logging.getLogger("amends.store")

ANSWER_SECONDS = 20.0
"""How long an answer is waited for. A database that works ends a slow statement earlier (LIMITS), and says so: one that
says nothing is away."""

MOST_TOGETHER = 64
MOST_CHARACTERS = 32 * 1024
"""How much shares a commit: beyond that, several connections at once are quicker than one with everything."""
BUSY = "busy"
LOCK_TIMEOUT = "1s"
"""How long a connection waits for a lock before it does something else; the commit comes again, however often."""

Parameters = Sequence[object] | Mapping[str, object]


@dataclass
class _Caller:
    """Somebody who waits for an answer, until `give_up_at`; `item` is what of a shared commit is theirs."""

    give_up_at: float | None
    answer: asyncio.Future[list[TupleRow]]
    item: str = ""
    sent_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.give_up_at is not None:
            patience = self.give_up_at - self.sent_at
            timer = self.answer.get_loop().call_later(patience, self.told, Unavailable(round(patience, 1)))
            self.answer.add_done_callback(lambda _: timer.cancel())

    def told(self, answer: list[TupleRow] | AmendsError) -> None:
        if self.answer.done():
            return
        if isinstance(answer, AmendsError):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


@dataclass
class _Message:
    """One commit, for one caller or for several who share it; `held_up` says that others were in its way."""

    statement: str
    parameters: Parameters
    callers: Sequence[_Caller]
    shared: bool = False
    held_up: bool = False

    @property
    def wanted(self) -> bool:
        """Whether somebody still waits for the answer."""
        return any(not each.answer.done() for each in self.callers)

    @cached_property
    def tries(self) -> Resending:
        """The tries of a message that has one caller."""
        caller = self.callers[0]
        return Resending("A commit", caller.give_up_at, caller.sent_at, parameters=self.parameters)

    def fail(self, error: AmendsError) -> None:
        for caller in self.callers:
            caller.told(error)

    def answered(self, rows: list[TupleRow]) -> Sequence[_Caller]:
        """Tell everybody; returns those who must go again alone."""
        if not self.shared:
            self.callers[0].told(rows)
            return ()
        again = []
        for number, outcome, *answer in rows:
            if outcome == BUSY:
                again.append(self.callers[number])
            else:
                self.callers[number].told([(outcome, *answer)])
        return again


class _Line:
    """One connection: made when it is needed, anew when it was lost, and closed at the end, whatever was going on."""

    def __init__(self, url: URL) -> None:
        self._url, self._waits = url, Waits()
        self._connection: AsyncConnection[TupleRow] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._connection:
            await self._connection.close()

    async def ask(self, statement: str, parameters: Parameters) -> list[TupleRow]:
        """Run a statement and return its rows. An answer that takes too long, a TimeoutError, costs the connection."""
        if self._connection is None or self._connection.closed:
            self._connection = await connect(self._url, "committer", lock_timeout=LOCK_TIMEOUT)
        try:
            async with asyncio.timeout(ANSWER_SECONDS), Guarded(self._connection):
                cursor = await self._connection.execute(statement, parameters)
                rows = await cursor.fetchall() if cursor.rownumber is not None else []
        except TimeoutError:
            await self._connection.close()
            raise
        self._waits = Waits()
        return rows

    async def rest(self) -> None:
        """Leave a database alone that is away: no message is to blame, and the next one would fare no better."""
        await asyncio.sleep(self._waits.next())


class Committer:
    """Writes for one process, on `connections` connections at a time."""

    def __init__(self, url: URL, connections: int) -> None:
        self._url, self._size = url, connections
        self.on_commit: Callable[[], None] = _nothing
        self._ready: deque[_Message | str] = deque()
        self._held_up: deque[_Message] = deque()
        self._waiting_for_others, self._most_waiting = 0, max(1, connections // 2)
        self._idle: list[asyncio.Future[None]] = []
        self._sharing: defaultdict[str, deque[_Caller]] = defaultdict(deque)
        self._workers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._workers = [asyncio.create_task(self._work(), name=f"committer-{n}") for n in range(self._size)]

    async def stop(self) -> None:
        """End the workers; what is still waiting is not written."""
        await end(*self._workers)

    async def run(self, statement: str, parameters: Parameters, patience: float | None = None) -> list[TupleRow]:
        """Run one statement in a commit of its own and return its rows.

        The statement must be safe to resend: the answer to one that was carried out may be lost. While the database is
        away it is resent for ever; with `patience` (in seconds), raises Unavailable, and what has not been sent by then
        never is. Raises Unstorable for values that will never be taken, and Contended after as many tries as its errors
        allow (see app.store.sqlstates).
        """
        caller = _Caller(deadline(patience), asyncio.get_running_loop().create_future())
        self._put(_Message(statement, parameters, [caller]))
        return await caller.answer

    async def share(self, statement: str, item: str, patience: float | None = None) -> TupleRow:
        """The same for one item of a statement that takes a JSON array of them; returns its row.

        The statement answers each item with a row: its number from 0, its outcome, and whatever else. It keeps items
        apart; one whose outcome is `busy`, and all of a commit that fails, go again alone.
        """
        caller = _Caller(deadline(patience), asyncio.get_running_loop().create_future(), item)
        if not self._sharing[statement]:
            self._put(statement)
        self._sharing[statement].append(caller)
        return (await caller.answer)[0]

    def _put(self, ready: _Message | str) -> None:
        """Hand over to the connection that was busy last: what it needs is still at hand there."""
        if isinstance(ready, _Message) and ready.held_up:
            self._held_up.append(ready)
        else:
            self._ready.append(ready)
        while self._idle:
            if not (idle := self._idle.pop()).done():
                idle.set_result(None)
                return

    async def _work(self) -> None:
        async with _Line(self._url) as line:
            while True:
                while message := self._taken():
                    held_up = message.held_up
                    self._waiting_for_others += held_up
                    try:
                        await self._send(message, line)
                    except Exception as bug:
                        log.exception("A commit failed by a fault of Amends itself.")
                        message.fail(Unstorable(f"a fault of Amends itself: {type(bug).__name__}"))
                    finally:
                        self._waiting_for_others -= held_up
                idle = asyncio.get_running_loop().create_future()
                self._idle.append(idle)
                await idle

    def _taken(self) -> _Message | None:
        """The next message that somebody still waits for, if this connection may send one now."""
        while self._ready or self._held_up:
            if self._held_up and self._waiting_for_others < self._most_waiting:
                message = self._held_up.popleft()
            elif self._ready:
                ready = self._ready.popleft()
                message = self._shared(ready) if isinstance(ready, str) else ready
            else:
                return None
            if message.wanted:
                return message
        return None

    def _shared(self, statement: str) -> _Message:
        """Everything that is ready now, up to a limit; what is more goes with the next."""
        waiting, callers, size = self._sharing[statement], list[_Caller](), 0
        while waiting and len(callers) < MOST_TOGETHER and size < MOST_CHARACTERS:
            caller = waiting.popleft()
            if not caller.answer.done():
                callers.append(caller)
                size += len(caller.item)
        if waiting:
            self._put(statement)
        return _together(statement, callers)

    async def _send(self, message: _Message, line: _Line) -> None:
        """Send a message once. What has to be sent again comes back when it is time, and holds up nobody meanwhile."""
        try:
            rows = await line.ask(message.statement, message.parameters)
        except Exception as error:
            found = verdict(error, ours=True)
            if len(message.callers) > 1:
                self._alone(message.statement, message.callers)
            elif found is Verdict.NEVER:
                message.fail(unstorable(error))
            else:
                self._later(message, error, found)
            if found is Verdict.AWAY:
                await line.rest()
        else:
            self._alone(message.statement, message.answered(rows), held_up=True)
            self.on_commit()

    def _later(self, message: _Message, error: Exception, found: Verdict) -> None:
        try:
            wait = message.tries.wait_after(error)
        except AmendsError as over:
            message.fail(over)
        else:
            message.held_up = found is Verdict.BUSY
            asyncio.get_running_loop().call_later(wait, self._put, message)

    def _alone(self, statement: str, callers: Sequence[_Caller], held_up: bool = False) -> None:
        for caller in callers:
            self._put(_together(statement, [caller], held_up))


def _together(statement: str, callers: Sequence[_Caller], held_up: bool = False) -> _Message:
    items = ",".join(caller.item for caller in callers)
    return _Message(statement, (f"[{items}]",), callers, shared=True, held_up=held_up)


def _nothing() -> None:
    """Nobody listens yet."""
