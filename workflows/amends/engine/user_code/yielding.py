"""Long loops that wait for nothing let the others of the event loop have their turn."""

from __future__ import annotations

import asyncio
from typing import Final

from workflows.amends.engine.user_code.running_code import clock

LONGEST: Final = 0.005
"""For how many seconds such a loop may keep the event loop to itself."""


class Yielding:
    """The turns of one loop on the event loop."""

    def __init__(self) -> None:
        self._since = clock()

    @property
    def is_long(self) -> bool:
        """Whether this turn has been a long one."""
        return clock() - self._since > LONGEST

    async def end(self) -> None:
        """End this turn; the next one begins when everybody else has had theirs."""
        await asyncio.sleep(0)
        self._since = clock()
