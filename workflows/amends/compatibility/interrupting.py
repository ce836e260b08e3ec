"""Interrupts code of a saga that computes without end in a replay: it can be told nothing, for it awaits nothing."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from workflows.amends.engine.user_code.running_code import on_loop, read_mark

BUSY_SECONDS: Final = 2.0
"""How long code of a saga may compute without an await, in seconds of the processor."""
BLOCKED: Final = 5
"""How many times as long it may take in all, as when it sleeps: others may have the processor meanwhile."""
TICKS: Final = 10
"""How often it is looked at in that time of the processor."""
SIGNAL: Final = signal.SIGVTALRM
"""The signal that looks at what runs: a system call that blocks returns for it, and nothing else here uses it."""
PATIENCE: Final = 10
"""How often one replay is interrupted before the process is ended: its code swallows whatever is raised."""
NOT_MADE: Final = 2
"""The exit status of a check that could not be made."""


class ReplayInterrupted(BaseException):
    """This replay takes too long: raised in the midst of the code of its saga."""


class Interruptions:
    """Which replays were interrupted, by the ids of their sagas.

    Time that passes is counted in looks: a process that stood still has not looked either.
    """

    def __init__(self) -> None:
        self.busy_seconds = BUSY_SECONDS
        self._found: dict[str, int] = {}
        self._mark, self._looks, self._since = (0.0, b""), 0, 0.0

    def pop(self, id: str) -> bool:
        """Whether the replay of this saga was interrupted, which is forgotten now."""
        return self._found.pop(id, 0) > 0

    def look(self, number: int, frame: FrameType | None) -> None:
        """Raise ReplayInterrupted where the same code runs for too long."""
        _, entered, who = read_mark(on_loop.memory)
        if not entered or (entered, who) != self._mark:
            self._mark, self._looks, self._since = (entered, who), 0, time.thread_time()
            return
        self._looks += 1
        if time.thread_time() - self._since < self.busy_seconds and self._looks < BLOCKED * TICKS:
            return
        self._since = time.thread_time()
        self._looks, (saga, saga_type, _) = 0, json.loads(who)
        self._found[saga] = self._found.get(saga, 0) + 1
        if self._found[saga] > PATIENCE:
            sys.stderr.write(f"run of saga {saga} ({saga_type}) computes without end, and cannot be interrupted.\n")
            sys.stderr.flush()
            os._exit(NOT_MADE)
        raise ReplayInterrupted


interruptions: Final = Interruptions()
"""Those of this process."""


@contextmanager
def interrupting(busy_seconds: float = BUSY_SECONDS) -> Iterator[None]:
    """Inside, replays of the main thread are interrupted that compute too long; elsewhere nothing can be."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ended, main = threading.Event(), threading.get_ident()

    def tick() -> None:
        while not ended.wait(busy_seconds / TICKS):
            signal.pthread_kill(main, SIGNAL)

    interruptions.busy_seconds = busy_seconds
    before = signal.signal(SIGNAL, interruptions.look)
    ticker = threading.Thread(target=tick, name="replay limit", daemon=True)
    ticker.start()
    try:
        yield
    finally:
        ended.set()
        ticker.join()
        signal.signal(SIGNAL, before)
