"""The server's side of the watchdog: starts it, shares its marks with it, and logs its reports."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from mmap import mmap
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL

from app.amends.postgres.urls import connection_settings, conninfo
from app.amends.watchdog.stacks import StackWriter
from app.amends.watchdog.stop_signals import StopSignals
from domain.amends.event import event_type
from workflows.amends.engine.user_code.running_code import SIZE, on_loop
from workflows.amends.history import EventLoopBlocked

log = logging.getLogger("amends.watchdog")

PROGRAM: Final = Path(__file__).with_name("process.py")
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
        json_lines: bool = False,
    ) -> None:
        self._url, self._executor, self._lease, self._recorded = url, executor, lease, recorded
        self._stop_seconds, self._json_lines = stop_seconds, json_lines
        self._shared: dict[str, int] = {}
        """Descriptors of what the watchdog shares, by name."""
        self._open = ExitStack()
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self.blocks: Counter[tuple[str, str]] = Counter()
        self.seconds: Counter[tuple[str, str]] = Counter()

    def start(self) -> None:
        """Share the marks, and start the watchdog beside everything else."""
        memory = self._open.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        memory.truncate(SIZE)
        on_loop.share(memoryview(mmap(memory.fileno(), SIZE)))
        on_loop.note_loop_answered()
        stacks, stops = self._open.enter_context(StackWriter()), self._open.enter_context(StopSignals())
        self._shared = {"memory": memory.fileno()} | stacks.files | stops.files
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
        self._open.close()

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
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            str(PROGRAM),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=tuple(self._shared.values()),
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(self._given()).encode() + b"\n")
        async for line in self._process.stdout:
            self._heard(json.loads(line))
        await self._process.wait()

    def _given(self) -> dict[str, Any]:
        """The parameters of the watchdog; they go through a pipe, for there is a password among them."""
        name, version = event_type(EventLoopBlocked)
        quick = connection_settings(self._url, "watchdog", statement_timeout="2s", lock_timeout="2s")
        return {
            "pid": os.getpid(),
            "thread": threading.get_ident(),
            "executor": self._executor,
            "lease": self._lease,
            "hard": self._stop_seconds + 1,
            "url": conninfo(self._url),
            "connect": quick | {"connect_timeout": 2},
            "path": sys.path,
            "json": self._json_lines,
            "event": {"type": name, "schema_version": version},
        } | self._shared

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
        below = {"below": told["stack"], "saga": saga, "saga_type": kind or None, "step": step}
        log.warning("The event loop was blocked for %.1f s by %s.", seconds, who, extra=below)
