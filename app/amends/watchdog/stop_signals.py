"""Signals that ask a server to stop, noted where the watchdog sees them, also where Python never receives them.

C code of Python writes the number of each signal into a socket, whatever runs. The event loop reads them there, and
passes them on to whoever wanted them before; a loop that does not come round leaves them, and the watchdog looks.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
import threading
from contextlib import suppress
from typing import Any, Final, Self

STOPS: Final = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """The server's side: notes signals that ask it to stop, from its entry to its exit in the thread of a loop.

    Python hands signals to its main thread alone: one that runs elsewhere, in a test client, has none.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("a+b")  # noqa: SIM115 (its exit closes it)
        self._heard, self._woken = socket.socketpair()
        for each in (self._heard, self._woken):
            each.setblocking(False)
        self._before = -1

    @property
    def files(self) -> dict[str, int]:
        """What the watchdog needs of it: the descriptors of the file, and of the socket."""
        return {"stops": self._file.fileno(), "signals": self._heard.fileno()}

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            self._before = signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        self._loop.add_reader(self._heard, self._read)
        os.register_at_fork(after_in_child=self._leave)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.remove_reader(self._heard)
        self._leave(self._before)
        for each in (self._file, self._heard, self._woken):
            each.close()

    def _read(self) -> None:
        numbers = self._heard.recv(4096)
        if any(each in STOPS for each in numbers):
            self._file.write(b".")
            self._file.flush()
        if self._before != -1:
            with suppress(BlockingIOError):  # whoever wakes by it is awake then
                os.write(self._before, numbers)

    def _leave(self, before: int = -1) -> None:
        """Give the signals back, unless somebody else has them by now. In a forked process no watchdog looks."""
        if threading.current_thread() is not threading.main_thread():
            return
        now = signal.set_wakeup_fd(before, warn_on_full_buffer=False)
        if now != self._woken.fileno():
            signal.set_wakeup_fd(now, warn_on_full_buffer=False)


class StopRequests:
    """The watchdog's side: whether a server was asked to stop."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._file = given["stops"]
        self._signals = socket.socket(fileno=given["signals"])

    def was_asked(self) -> bool:
        """Whether there was such a signal, read by the server or not."""
        with suppress(BlockingIOError):
            unread = self._signals.recv(4096, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            if any(each in STOPS for each in unread):
                return True
        return os.fstat(self._file).st_size > 0

    def close(self) -> None:
        """Look no more."""
        self._signals.close()
