"""Long loops that wait for nothing let the others of the event loop have their turn."""

from __future__ import annotations

import asyncio
from typing import Final

from workflows.engine.marks import clock

LONGEST: Final = 0.005
"""For how many seconds such a loop may keep the event loop to itself."""


class Turns:
    """The turns of one loop on the event loop."""

    def __init__(self) -> None:
        self._since = clock()

    async def end(self) -> None:
        """End this turn, if it has been a long one."""
        if clock() - self._since > LONGEST:
            await asyncio.sleep(0)
            self._since = clock()
