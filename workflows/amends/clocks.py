"""The clocks of a process. A simulation gives each of its processes clocks of their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
clock: Final[Callable[[], float]] = partial(time.clock_gettime, _CLOCK)
"""Seconds that also pass while this process, or the whole machine, is suspended."""


def utc_now() -> datetime:
    """The time of day by this machine's clock, which somebody may set."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Clocks:
    """How a process tells the time: `seconds` never goes back, `now` is the time of day by the machine's clock."""

    seconds: Callable[[], float] = clock
    now: Callable[[], datetime] = utc_now
