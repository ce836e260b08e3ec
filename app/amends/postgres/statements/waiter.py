"""Waits until something in the database has happened: one task asks for all callers that wait at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from typing import Final, Generic, TypeVar

from domain.amends.errors import Contended, Unavailable
from workflows.amends.background import cancel_tasks, wait_until_set

log = logging.getLogger("amends.store")

AWAY_SECONDS: Final = 0.25
"""The pause after the database has not answered."""

W = TypeVar("W", bound=Hashable)
R = TypeVar("R")


class PollingWaiter(Generic[W, R]):
    """The waits of one process; `what` names their subject in the log.

    `ask` is given all that is waited for, and returns the results that there are so far. It is called while there are
    waits: every `seconds`, or at a nudge, and after a pause of `least` in any case.
    """

    def __init__(
        self, what: str, ask: Callable[[Collection[W]], Awaitable[Mapping[W, R]]], seconds: float, least: float = 0.0
    ) -> None:
        self._what, self._ask, self._seconds, self._least = what, ask, seconds, least
        self._idle: float | None = None
        self._idles = False
        self._waiting: dict[W, set[asyncio.Future[R]]] = {}
        self._nudged = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None

    async def wait(self, wanted: W, seconds: float) -> R | None:
        """The result; None if there is none within so many seconds."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        if self._idles:
            self._nudged.set()
        self._waiting.setdefault(wanted, set()).add(answer)
        self._begin()
        try:
            await asyncio.wait({answer}, timeout=seconds)
        finally:
            self._forget(wanted, answer)
        return answer.result() if answer.done() else None

    def resolve(self, come: Mapping[W, R]) -> None:
        """Give results to those who wait for them."""
        for wanted, result in come.items():
            for answer in self._waiting.get(wanted, ()):
                if not answer.done():
                    answer.set_result(result)

    @property
    def wanted(self) -> Collection[W]:
        """All that is waited for."""
        return tuple(self._waiting)

    def ask_now(self) -> None:
        """Ask now, if there are waits: something may have happened."""
        if self._waiting:
            self._nudged.set()

    def start(self, idle: float) -> None:
        """Ask also while there are no waits, every so many seconds, until `stop`."""
        self._idle = idle
        self._begin()

    async def stop(self) -> None:
        """Ask no more; waits that are left end without a result."""
        self._idle = None
        await cancel_tasks(self._asking)

    def _begin(self) -> None:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_again(), name=f"waiting for {self._what}")

    def _forget(self, wanted: W, answer: asyncio.Future[R]) -> None:
        waiting = self._waiting[wanted]
        waiting.discard(answer)
        if not waiting:
            del self._waiting[wanted]

    async def _ask_again(self) -> None:
        while self._waiting or self._idle is not None:
            self._nudged.clear()
            rest = self._least
            try:
                self.resolve(await self._ask(self.wanted))
            except (Unavailable, Contended) as away:
                log.debug("Nobody says how far %s has come: %s", self._what, away)
                rest = AWAY_SECONDS
            except Exception as error:
                log.warning("How far %s has come is asked again, after: %s", self._what, error)
                rest = AWAY_SECONDS
            await asyncio.sleep(rest)
            self._idles = self._idle is not None and not self._waiting
            await wait_until_set(self._nudged, self._idle if self._idles and self._idle else self._seconds)
            self._idles = False
