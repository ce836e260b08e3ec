"""Waits until something in the database has come so far: however many wait, one task asks for all of them at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from typing import Final, Generic, TypeVar

from domain.amends.errors import Contended, Unavailable
from workflows.amends.background import end, nudged

log = logging.getLogger("amends.store")

AWAY_SECONDS: Final = 0.25
"""How long the database is left alone that has not answered."""

W = TypeVar("W", bound=Hashable)
R = TypeVar("R")


class Waiter(Generic[W, R]):
    """Those who wait in one process. `what` names in the log what is asked.

    `ask` is given all that is waited for, and returns what has come of it so far. It is called as long as somebody
    waits: every `seconds`, or as soon as there is a nudge, with a rest of `least` in any case.
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
        """What has come of it; None if nothing has within so many seconds."""
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

    def tell(self, come: Mapping[W, R]) -> None:
        """Say what has come of something, to those who wait for it."""
        for wanted, result in come.items():
            for answer in self._waiting.get(wanted, ()):
                if not answer.done():
                    answer.set_result(result)

    @property
    def wanted(self) -> Collection[W]:
        """All that is waited for."""
        return tuple(self._waiting)

    def nudge(self) -> None:
        """Ask now, if somebody waits: something may have come."""
        if self._waiting:
            self._nudged.set()

    def start(self, idle: float) -> None:
        """Ask also while nobody waits, every so many seconds, until `stop`."""
        self._idle = idle
        self._begin()

    async def stop(self) -> None:
        """Ask no more; who still waits does so in vain."""
        self._idle = None
        await end(self._asking)

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
                self.tell(await self._ask(self.wanted))
            except (Unavailable, Contended) as away:
                log.debug("Nobody says how far %s has come: %s", self._what, away)
                rest = AWAY_SECONDS
            except Exception as error:
                log.warning("How far %s has come is asked again, after: %s", self._what, error)
                rest = AWAY_SECONDS
            await asyncio.sleep(rest)
            self._idles = self._idle is not None and not self._waiting
            await nudged(self._nudged, self._idle if self._idles and self._idle else self._seconds)
            self._idles = False
