"""Whose code runs on the event loop right now, written where another process can read it, also while nothing else runs.

Some code holds Python's lock while it blocks: then only another process can tell who it was, as
workflows/durable/watchdog.py does.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")
R = TypeVar("R")

SIZE: Final = 1024
_HEAD = struct.Struct("<ddI")
"""When the event loop last answered, when the code that is named was entered (0: none is), and how long its name is."""
_NAME: Final = _HEAD.size
_LONGEST: Final = 200


def clock() -> float:
    """Seconds that also pass while this process, or the whole machine, is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def label(saga: str, kind: str, step: str | None) -> bytes:
    """Whose code it is, as it is written: a saga, its kind, and the step; None is `run`."""
    return json.dumps([saga[:_LONGEST], kind[:_LONGEST], step and step[:_LONGEST]], ensure_ascii=True).encode()


class Marks:
    """A piece of memory that says who runs; a watchdog replaces it by one that it shares."""

    def __init__(self) -> None:
        self.memory: memoryview = memoryview(bytearray(SIZE))
        self._who: bytes | None = None
        self._written: bytes | None = None

    def share(self, memory: memoryview) -> None:
        """Write here from now on, for another process to read."""
        self.memory, self._written = memory, None

    def enter(self, who: bytes | None) -> bytes | None:
        """From here on `who` runs, or nobody's code; returns whose did before."""
        before, self._who = self._who, who
        if who is not None and who is not self._written:
            _ENTERED.pack_into(self.memory, 8, 0.0, len(who))
            self.memory[_NAME : _NAME + len(who)] = self._written = who
        _MOMENT.pack_into(self.memory, 8, 0.0 if who is None else clock())
        return before

    def during(self, who: bytes, function: Callable[[T], R], given: T) -> R:
        """What a function returns; meanwhile `who` runs."""
        before = self.enter(who)
        try:
            return function(given)
        finally:
            self.enter(before)

    def answered(self) -> None:
        """The event loop has come round."""
        _MOMENT.pack_into(self.memory, 0, clock())

    def rest(self) -> None:
        """From here on nobody says any more that the event loop comes round."""
        _MOMENT.pack_into(self.memory, 0, 1e18)


_MOMENT, _ENTERED = struct.Struct("<d"), struct.Struct("<dI")


def read(memory: memoryview) -> tuple[float, float, bytes]:
    """When the event loop last answered, when somebody's code was entered (0: none runs), and whose it is."""
    answered, entered, size = _HEAD.unpack_from(memory)
    return answered, entered, bytes(memory[_NAME : _NAME + min(size, SIZE - _NAME)])


on_loop = Marks()
"""The event loop of this process."""
