"""Whose code runs on the event loop right now, written where another process can read it, also while nothing else runs.

Some code holds Python's lock while it blocks: then only another process can tell who it was, as
app/amends/watchdog/process.py does.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Final, TypeVar

from workflows.amends.clocks import clock

T = TypeVar("T")
R = TypeVar("R")

SIZE: Final = 4096
"""As much as a page of memory; app/amends/watchdog/process.py knows it too."""
_HEAD = struct.Struct("<ddI")
"""When the event loop last answered, when the code that is named was entered (0: none is), and how long its name is."""
_NAME: Final = _HEAD.size
_ROOM: Final = SIZE - _NAME
_MOST: Final = {"saga": 3000, "saga_type": 500, "step": 500}
"""How many bytes of a name each of its parts may take: together, with what is between them, they fit."""


def code_label(saga: str, saga_type: str, step: str | None) -> bytes:
    """Whose code it is, as it is written: a saga, its type, and the step; None is `run`. It always fits."""
    given = {"saga": saga, "saga_type": saga_type, "step": step}
    return json.dumps([_cut(text, _MOST[name]) for name, text in given.items()]).encode()


def _cut(text: str | None, most: int) -> str | None:
    """A text, or what of it takes so many bytes as JSON: a character takes twelve at the most."""
    return text if text is None or len(json.dumps(text)) <= most else text[: most // 12]


class RunningMark:
    """A piece of memory that says who runs; a watchdog replaces it by one that it shares."""

    def __init__(self) -> None:
        self.memory: memoryview = memoryview(bytearray(SIZE))
        self._who: bytes | None = None
        self._written: bytes | None = None

    def share(self, memory: memoryview) -> None:
        """Write here from now on, for another process to read."""
        self.memory, self._written = memory, None

    def enter(self, who: bytes | None) -> bytes | None:
        """From here on `who` runs, as `code_label` wrote it, or nobody's code; returns who did before.

        It raises nothing.
        """
        before, self._who = self._who, who
        if who is not None and who is not self._written:
            text = who[:_ROOM]
            _ENTERED.pack_into(self.memory, 8, 0.0, len(text))
            self.memory[_NAME : _NAME + len(text)], self._written = text, who
        _MOMENT.pack_into(self.memory, 8, 0.0 if who is None else clock())
        return before

    def call_marked(self, who: bytes, function: Callable[[T], R], given: T) -> R:
        """What a function returns; meanwhile `who` runs."""
        before = self.enter(who)
        try:
            return function(given)
        finally:
            self.enter(before)

    def note_loop_answered(self) -> None:
        """The event loop has come round."""
        _MOMENT.pack_into(self.memory, 0, clock())

    def stop(self) -> None:
        """From here on nobody says any more that the event loop comes round."""
        _MOMENT.pack_into(self.memory, 0, 1e18)


_MOMENT, _ENTERED = struct.Struct("<d"), struct.Struct("<dI")


def read_mark(memory: memoryview) -> tuple[float, float, bytes]:
    """When the event loop last answered, when somebody's code was entered (0: none runs), and whose it is."""
    answered, entered, size = _HEAD.unpack_from(memory)
    return answered, entered, bytes(memory[_NAME : _NAME + min(size, SIZE - _NAME)])


on_loop = RunningMark()
"""The event loop of this process."""
