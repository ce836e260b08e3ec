"""The server's side of the watchdog: starts it, shares its marks with it, and logs its reports."""

from __future__ import annotations

import asyncio
import faulthandler
import json
import logging
import os
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from mmap import mmap
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL

from app.amends.postgres.urls import connection_settings, conninfo
from domain.amends.event import event_type
from workflows.amends.engine.user_code.running_code import SIZE, on_loop
from workflows.amends.history import EventLoopBlocked

log = logging.getLogger("amends.watchdog")

PROGRAM: Final = Path(__file__).with_name("process.py")
SIGNAL: Final = signal.SIGUSR2
"""The signal by which the watchdog asks for stacks: they are written by C code, whatever Python does."""
STOPS: Final = (signal.SIGTERM, signal.SIGINT)
"""The signals that ask a server to stop. C code notes them where the watchdog looks: Python may never receive them."""
RESTARTS: Final = 5
"""How often the watchdog is started again when it has died, before the server goes on without one."""


class Watchdog:
    """Watches the event loop of this process from another one, for an executor with a lease of so many seconds.

    A server that was asked to stop ends itself within `stop_seconds`, and is ended a second later. `recorded` is called
    with a saga that has blocked the event loop for longer than the lease, and its event. `blocks` counts the blocks of
    the event loop by the names of saga and step, and `seconds` their length; both names are empty for code of no saga.
    """

    def __init__(
        self,
        url: URL,
        executor: str,
        lease: float,
        recorded: Callable[[str, EventLoopBlocked], None],
        stop_seconds: float,
    ) -> None:
        self._url, self._executor, self._lease, self._recorded = url, executor, lease, recorded
        self._stop_seconds = stop_seconds
        self._memory = tempfile.TemporaryFile()  # noqa: SIM115 (all three are closed by stop)
        self._dump, self._asked = tempfile.TemporaryFile("a+b"), tempfile.TemporaryFile("a+b")  # noqa: SIM115
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self.blocks: Counter[tuple[str, str]] = Counter()
        self.seconds: Counter[tuple[str, str]] = Counter()

    def start(self) -> None:
        """Share the marks, and start the watchdog beside everything else."""
        self._memory.truncate(SIZE)
        on_loop.share(memoryview(mmap(self._memory.fileno(), SIZE)))
        on_loop.answered()
        faulthandler.register(SIGNAL, file=self._dump, all_threads=True)
        for number in STOPS:
            faulthandler.register(number, file=self._asked, all_threads=False, chain=True)
        os.register_at_fork(after_in_child=_note_no_stops)
        self._task = asyncio.create_task(self._watched(), name="watchdog")

    def change_executor(self, executor: str) -> None:
        """Note that this process goes on as another executor, and tell the watchdog."""
        self._executor = executor
        if self._process and self._process.stdin and self._process.returncode is None:
            self._process.stdin.write(json.dumps({"executor": executor}).encode() + b"\n")

    async def stop(self) -> None:
        """End the watchdog."""
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        faulthandler.unregister(SIGNAL)
        _note_no_stops()
        for file in (self._memory, self._dump, self._asked):
            file.close()

    async def _watched(self) -> None:
        for wait in range(1, RESTARTS + 1):
            try:
                await self._once()
            except OSError as error:
                log.warning("The watchdog cannot be started: %s", error)
            log.warning("The watchdog has ended; it is started again in %d s.", wait)
            await asyncio.sleep(wait)
        log.error("The watchdog has ended %d times: this server goes on without one.", RESTARTS)

    async def _once(self) -> None:
        """Start the watchdog, and read its reports until it ends."""
        files = (self._memory.fileno(), self._dump.fileno(), self._asked.fileno())
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            str(PROGRAM),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=files,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(self._given(*files)).encode() + b"\n")
        async for line in self._process.stdout:
            self._heard(json.loads(line))
        await self._process.wait()

    def _given(self, memory: int, dump: int, asked: int) -> dict[str, Any]:
        """The parameters of the watchdog; they go through a pipe, for there is a password among them."""
        name, version = event_type(EventLoopBlocked)
        quick = connection_settings(self._url, "watchdog", statement_timeout="2s", lock_timeout="2s")
        return {
            "pid": os.getpid(),
            "thread": threading.get_ident(),
            "executor": self._executor,
            "lease": self._lease,
            "memory": memory,
            "dump": dump,
            "signal": SIGNAL,
            "asked": asked,
            "hard": self._stop_seconds + 1,
            "url": conninfo(self._url),
            "connect": quick | {"connect_timeout": 2},
            "path": sys.path,
            "event": {"type": name, "schema_version": version},
        }

    def _heard(self, told: dict[str, Any]) -> None:
        saga, kind, step, seconds = told["saga"], told["kind"] or "", told["step"], told["seconds"]
        if told["what"] == "recorded":
            if saga is not None:
                self._recorded(saga, EventLoopBlocked(step, seconds, self._executor, told["stack"]))
            return
        named = (kind.partition(":")[0], step or ("run" if saga else ""))
        self.blocks[named] += 1
        self.seconds[named] += seconds
        who = f"{f'step {step}' if step else 'run'} of saga {saga} ({kind})" if saga else "code of no saga"
        if told["held"]:
            who = "another thread, which held Python's lock; no saga is blamed for it"
        below = {"below": told["stack"]}
        log.warning("The event loop was blocked for %.1f s by %s.", seconds, who, extra=below)


def _note_no_stops() -> None:
    """Let signals that ask to stop go to Python alone: in a forked process no watchdog looks for them."""
    for number in STOPS:
        faulthandler.unregister(number)
