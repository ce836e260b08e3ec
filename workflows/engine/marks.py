"""Whose code runs on the event loop right now, written where another process can read it, also while nothing else runs.

Some code holds Python's lock while it blocks: then only another process can tell who it was, as
workflows/durable/watchdog.py does.
"""

from __future__ import annotations

import json
import struct
import time
from typing import Final

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

    def enter(self, who: bytes) -> None:
        """From here on `who` runs, until `leave`."""
        memory, size = self.memory, len(who)
        memory[_NAME : _NAME + size] = who
        _ENTERED.pack_into(memory, 8, clock(), size)

    def leave(self) -> None:
        """Nobody's code runs."""
        _ENTERED.pack_into(self.memory, 8, 0.0, 0)

    def answered(self) -> None:
        """The event loop has come round."""
        _ANSWERED.pack_into(self.memory, 0, clock())

    def rest(self) -> None:
        """From here on nobody says any more that the event loop comes round."""
        _ANSWERED.pack_into(self.memory, 0, 1e18)


_ANSWERED, _ENTERED = struct.Struct("<d"), struct.Struct("<dI")


def read(memory: memoryview) -> tuple[float, float, bytes]:
    """When the event loop last answered, when somebody's code was entered (0: none runs), and whose it is."""
    answered, entered, size = _HEAD.unpack_from(memory)
    return answered, entered, bytes(memory[_NAME : _NAME + min(size, SIZE - _NAME)])


on_loop = Marks()
"""The event loop of this process."""
