"""Resends statements until they are answered, never will be, or have been tried often enough."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TypeVar

import psycopg

from app.amends.postgres.sqlstates import Verdict, is_duplicate, is_large, log_text, message_of, verdict_by_size
from domain.amends.errors import Contended, Unavailable, Unstorable

T = TypeVar("T")
log = logging.getLogger("amends.store")

FIRST_WAIT, LONGEST_WAIT = 0.02, 1.0
"""Seconds before the second try, and between later ones at most: each wait is twice the one before."""
QUIET_SECONDS = 2.0
"""How long a database may be away, or locks be held, before that is a warning: most of it is over sooner."""


class Unsettled(Unavailable):
    """The database has not answered for {seconds} seconds: this may be carried out yet. Send it again with the same
    Idempotency-Key; without one, look first whether it was done."""


class Unanswered(Unavailable):
    """The database has not answered for {seconds} seconds: this may be carried out yet. Send it again with the
    Idempotency-Key {id}, which acts once."""

    id: str


class AlreadyExists(Unstorable):
    """Something with this name is there already: {problem}"""


def unstorable_error(error: BaseException) -> Unstorable:
    """The error for callers of a statement that never succeeds."""
    return (AlreadyExists if is_duplicate(error) else Unstorable)(message_of(error))


def deadline_after(patience: float | None) -> float | None:
    """The point in time until which a caller waits; None waits for ever."""
    return None if patience is None else time.monotonic() + patience


class RetryDelays:
    """The waits before further tries, in seconds: each is twice the one before, give or take a quarter."""

    def __init__(self) -> None:
        self.shortest = FIRST_WAIT

    def next_delay(self) -> float:
        wait, self.shortest = self.shortest, min(2 * self.shortest, LONGEST_WAIT)
        return wait * random.uniform(0.75, 1.25)


class Resending:
    """The tries of one statement, until `until`; `what` names it in the log.

    `began` is when its caller began to wait; both are in seconds of `time.monotonic`.
    """

    def __init__(
        self,
        what: str,
        until: float | None,
        began: float | None = None,
        ours: bool = True,
        parameters: Sequence[object] | Mapping[str, object] = (),
    ) -> None:
        self._what, self._until, self._ours = what, until, ours
        self._large = is_large(parameters)
        self._began = time.monotonic() if began is None else began
        self._waits = RetryDelays()
        self._counts: dict[Verdict, int] = {}
        self._alarm_at, self._warn_at = 0.0, QUIET_SECONDS

    async def until_answered(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until the database answers; returns the answer, and raises what `wait_after` does."""
        while True:
            try:
                return await attempt()
            except (psycopg.Error, OSError) as error:
                wait = self.wait_after(error)
            await asyncio.sleep(wait)

    def wait_after(self, error: Exception) -> float:
        """The seconds until the next try.

        Raises the error itself if it never passes, Contended if that was the last try, and Unavailable if there is no
        time for another one.
        """
        found = verdict_by_size(error, self._ours, self._large)
        if found is Verdict.NEVER:
            raise error
        if found.tries is not None:
            self._counts[found] = self._counts.get(found, 0) + 1
            if self._counts[found] >= found.tries:
                raise Contended(sum(self._counts.values()), message_of(error)) from error
        lasted = time.monotonic() - self._began
        if self._until is not None and time.monotonic() + self._waits.shortest > self._until:
            raise Unavailable(round(lasted, 1)) from error
        log.log(self._level(found, lasted), "%s is sent again: %s", self._what, log_text(error, found))
        return self._waits.next_delay()

    def _level(self, found: Verdict, lasted: float) -> int:
        """The level of the log: an error that lasts is logged again each time it has lasted twice as long."""
        if found.is_alarming and lasted >= self._alarm_at:
            self._alarm_at = 2 * max(lasted, QUIET_SECONDS)
            return logging.ERROR
        if not found.is_alarming and lasted >= self._warn_at:
            self._warn_at = 2 * lasted
            return logging.WARNING
        return logging.DEBUG


async def enter_transaction(
    stack: AsyncExitStack, what: str, until: float, opening: Callable[[], AbstractAsyncContextManager[T]]
) -> T:
    """Enter a transaction on a connection that works: those that a restart has cut are still in the pool."""
    return await Resending(what, until).until_answered(lambda: stack.enter_async_context(opening()))
