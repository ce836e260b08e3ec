"""Long loops that wait for nothing let the others of the event loop have their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

LONGEST: Final = 0.005
"""For how many seconds such a loop may keep the event loop to itself."""


class LoopTurns:
    """The turns of one loop on the event loop; `seconds` is the clock of its process."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds, self._since = seconds, seconds()

    @property
    def is_long(self) -> bool:
        """Whether this turn has been a long one."""
        return self._seconds() - self._since > LONGEST

    async def end(self) -> None:
        """End this turn; the next one begins when everybody else has had theirs."""
        await asyncio.sleep(0)
        self._since = self._seconds()
