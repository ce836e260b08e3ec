"""The stacks of a server's threads: the server writes them into a file, and the watchdog asks for them.

Python's threads may be looked at safely only while they cannot go on. So a thread of the server that has Python's lock
writes them. Where it does not get that lock, another one holds it, none of them goes on, and C code that a signal calls
writes them. A signal alone is not safe: in Python 3.11 it can come in the middle of a call, and end the process.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import tempfile
import threading
import time
from typing import Any, Final, Self

from workflows.amends.clocks import clock

SIGNAL: Final = signal.SIGUSR2
"""The signal by which stacks are asked for where no thread of Python answers."""
ANSWER_SECONDS: Final = 1.0
"""How long the server's thread is waited for before the signal is sent."""
DUMP_SECONDS: Final = 0.3
"""How long the stacks are waited for after the signal."""
LONGEST_STACK: Final = 4000
IDLE: Final = (
    "watchdog/stacks.py",
    "threading.py",
    "concurrent/futures/thread.py",
    "queue.py",
    "selectors.py",
    "socket.py",
    "psycopg/connection.py",
)
"""Files in which idle threads wait."""


class StackWriter:
    """The server's side: writes the stacks whenever the watchdog asks, from its entry to its exit."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("a+b")  # noqa: SIM115 (its exit closes it)
        self._asked, self._asks = socket.socketpair()
        self._thread = threading.Thread(target=self._answer, name="watchdog-stacks", daemon=True)

    @property
    def files(self) -> dict[str, int]:
        """What the watchdog needs of it: the descriptors of the file, and of the socket by which it asks."""
        return {"dump": self._file.fileno(), "asks": self._asks.fileno()}

    def __enter__(self) -> Self:
        faulthandler.register(SIGNAL, file=self._file, all_threads=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        faulthandler.unregister(SIGNAL)
        self._asked.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for each in (self._file, self._asked, self._asks):
            each.close()

    def _answer(self) -> None:
        while self._asked.recv(1):
            faulthandler.dump_traceback(self._file, all_threads=True)


class StackReader:
    """The watchdog's side: asks for the stacks of a process, and reads them."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._pid, self._dump, self._asks = given["pid"], given["dump"], given["asks"]
        self._patience = min(ANSWER_SECONDS, given["lease"] / 5)

    def ask(self) -> str:
        """The stacks of all threads as faulthandler writes them; empty if the process cannot write them."""
        os.ftruncate(self._dump, 0)
        try:
            os.write(self._asks, b"?")
            if text := self._wait(self._patience):
                return text
            os.kill(self._pid, SIGNAL)
        except (BrokenPipeError, ProcessLookupError):  # it has ended
            return ""
        return self._wait(DUMP_SECONDS)

    def _wait(self, seconds: float) -> str:
        until, text = clock() + seconds, ""
        while clock() < until:
            time.sleep(0.02)
            before, text = text, os.pread(self._dump, 200_000, 0).decode(errors="replace")
            if text and text == before:
                break
        return text


def split_stacks(text: str, thread: int) -> tuple[str, str]:
    """The stack of one thread from faulthandler's output, without its head, and those of all others that do not
    wait."""
    mine, others = "", []
    for part in text.split("\n\n"):
        head, _, frames = part.strip().partition("\n")
        frames = frames.replace("  Garbage-collecting\n", "")
        if f"{thread:016x}" in head:
            mine = frames
        elif not any(file in frames.partition("\n")[0] for file in IDLE):
            others.append(frames)
    return mine[:LONGEST_STACK], "\n".join(others)[:LONGEST_STACK]
