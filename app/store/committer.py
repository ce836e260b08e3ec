"""Everything that is written goes through here: one round trip, one commit, resent until it is answered.

What cannot share a commit has one of its own. Appends can: whatever is ready when a connection is free goes together,
and nothing waits for more to come.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from sqlalchemy import URL

from app.store.database import Guarded, connect
from app.store.resending import Doubled as Doubled
from app.store.resending import Resending, deadline, unstorable
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

Parameters = Sequence[object] | Mapping[str, object]


@dataclass
class _Caller:
    """Somebody who waits for an answer; `item` is what of a shared commit is theirs."""

    give_up_at: float | None
    answer: asyncio.Future[list[TupleRow]]
    item: str = ""
    sent_at: float = field(default_factory=time.monotonic)

    def told(self, answer: list[TupleRow] | AmendsError) -> None:
        if self.answer.done():
            return
        if isinstance(answer, AmendsError):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


@dataclass
class _Message:
    """One commit, for one caller or for several who share it."""

    statement: str
    parameters: Parameters
    callers: Sequence[_Caller]
    shared: bool = False

    @property
    def give_up_at(self) -> float | None:
        return min((each.give_up_at for each in self.callers if each.give_up_at is not None), default=None)

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
        self._url = url
        self._connection: AsyncConnection[TupleRow] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._connection:
            await self._connection.close()

    async def ask(self, statement: str, parameters: Parameters) -> list[TupleRow]:
        """Run a statement and return its rows. An answer that takes too long, a TimeoutError, costs the connection."""
        if self._connection is None or self._connection.closed:
            self._connection = await connect(self._url, "committer")
        try:
            async with asyncio.timeout(ANSWER_SECONDS), Guarded(self._connection):
                cursor = await self._connection.execute(statement, parameters)
                return await cursor.fetchall() if cursor.rownumber is not None else []
        except TimeoutError:
            await self._connection.close()
            raise


class Committer:
    """Writes for one process, on `connections` connections at a time."""

    def __init__(self, url: URL, connections: int) -> None:
        self._url, self._size = url, connections
        self.on_commit: Callable[[], None] = _nothing
        self._ready: deque[_Message | str] = deque()
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
        away it is resent for ever; with `patience` (in seconds), raises Unavailable. Raises Unstorable for values that
        will never be taken, and Contended after as many tries as its errors allow (see app.store.sqlstates).
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
        self._ready.append(ready)
        while self._idle:
            if not (idle := self._idle.pop()).done():
                idle.set_result(None)
                return

    async def _work(self) -> None:
        async with _Line(self._url) as line:
            while True:
                while self._ready:
                    ready = self._ready.popleft()
                    message = self._shared(ready) if isinstance(ready, str) else ready
                    try:
                        await self._settle(message, line)
                    except Exception as bug:
                        log.exception("A commit failed by a fault of Amends itself.")
                        message.fail(Unstorable(f"a fault of Amends itself: {type(bug).__name__}"))
                idle = asyncio.get_running_loop().create_future()
                self._idle.append(idle)
                await idle

    def _shared(self, statement: str) -> _Message:
        """Everything that is ready now, up to a limit; what is more goes with the next."""
        waiting, callers, size = self._sharing[statement], list[_Caller](), 0
        while waiting and len(callers) < MOST_TOGETHER and size < MOST_CHARACTERS:
            callers.append(waiting.popleft())
            size += len(callers[-1].item)
        if waiting:
            self._put(statement)
        return _together(statement, callers)

    async def _settle(self, message: _Message, line: _Line) -> None:
        """Send a message until it is answered, or will not be."""
        tries = Resending("A commit", message.give_up_at, message.callers[0].sent_at, parameters=message.parameters)
        while True:
            try:
                rows = await line.ask(message.statement, message.parameters)
            except Exception as error:
                problem = error
            else:
                self._alone(message.statement, message.answered(rows))
                self.on_commit()
                return
            if len(message.callers) > 1:
                self._alone(message.statement, message.callers)
                return
            if verdict(problem, ours=True) is Verdict.NEVER:
                message.fail(unstorable(problem))
                return
            tries = tries or Resending(
                "A commit", message.give_up_at, message.callers[0].sent_at, parameters=message.parameters
            )
            try:
                await tries.after(problem)
            except AmendsError as over:
                message.fail(over)
                return

    def _alone(self, statement: str, callers: Sequence[_Caller]) -> None:
        for caller in callers:
            self._put(_together(statement, [caller]))


def _together(statement: str, callers: Sequence[_Caller]) -> _Message:
    items = ",".join(caller.item for caller in callers)
    return _Message(statement, (f"[{items}]",), callers, shared=True)


def _deadline(patience: float | None) -> float | None:
    return None if patience is None else time.monotonic() + patience


def _nothing() -> None:
    """Nobody listens yet."""
