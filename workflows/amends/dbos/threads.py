"""The threads of an event loop: code of sagas has others than everything else, so that it takes them from nobody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, ParamSpec, TypeVar

from workflows.amends.engine.user_code.tasks import CodeScope, scope
from workflows.amends.values.printable import one_line

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger("amends.saga")

OF_SAGAS: Final = 64
"""How many functions code of sagas may run in threads at a time, with asyncio.to_thread for instance."""
PATIENCE_SECONDS: Final = 5.0
"""A thread that is waited for longer is worth a warning."""


class LoopThreads(ThreadPoolExecutor):
    """The default executor of an event loop. Threads of sagas that do not end keep nobody from stopping it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ours: int, of_sagas: int = OF_SAGAS) -> None:
        super().__init__(ours, "threads")
        self._loop, self._most = loop, of_sagas
        self._of_sagas = ThreadPoolExecutor(of_sagas, "code-of-sagas")
        self._open: set[Future[Any]] = set()
        self._warned = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function in a thread: one of the sagas' if it is code of a saga that asks for it."""
        mine = scope.get()
        if mine is None:
            return super().submit(fn, *args, **kwargs)
        asked = self._of_sagas.submit(fn, *args, **kwargs)
        self._open.add(asked)
        asked.add_done_callback(self._open.discard)
        if len(self._open) <= self._most:
            self._warned = False
        else:
            self._loop.call_soon_threadsafe(self._loop.call_later, PATIENCE_SECONDS, self._look, asked, mine)
        return asked

    @property
    def saga_thread_count(self) -> int:
        """How many functions code of sagas has in threads, those that wait for one included."""
        return len(self._open)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing new. Only what is not code of sagas is waited for."""
        self._of_sagas.shutdown(wait=False, cancel_futures=True)
        super().shutdown(wait, cancel_futures=cancel_futures)

    def _look(self, asked: Future[Any], mine: CodeScope) -> None:
        """Say once that code of sagas waits for threads, until there are free ones again."""
        if self._warned or asked.running() or asked.done():
            return
        self._warned = True
        log.warning(
            "%s of saga %s (%s) waits for a thread: code of sagas has all its %d threads, and none becomes free.",
            f"Step {mine.step}" if mine.step else "run",
            one_line(mine.saga),
            mine.saga_type,
            self._most,
        )
