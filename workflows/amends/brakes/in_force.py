"""The brakes in force, as one process knows them: never what is older than a second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from workflows.amends.brakes.brake import Brake, BrakePoint
from workflows.amends.clocks import clock

FRESH_SECONDS: Final = 0.9
"""So long what was read of the brakes is believed: what begins then was set less than a second ago, or is known."""


class BrakesInForce:
    """A copy of the brakes in force. Without a way to `read` them there are none.

    `seconds` is the clock of this process. Safe in one event loop: of several who ask, one reads.
    """

    def __init__(
        self, read: Callable[[], Awaitable[tuple[Brake, ...]]] | None = None, seconds: Callable[[], float] = clock
    ) -> None:
        self._read, self._seconds = read, seconds
        self.brakes: tuple[Brake, ...] = ()
        self._read_at: float | None = None
        self._reading = asyncio.Lock()

    @property
    def are_fresh(self) -> bool:
        """Whether what is known is young enough to begin something by it."""
        return self._read is None or (self._read_at is not None and self._seconds() - self._read_at < FRESH_SECONDS)

    async def refresh(self) -> None:
        """Read them, unless somebody else has just done so. Raises Unavailable if the database does not answer."""
        if self._read is None:
            return
        asked = self._seconds()
        async with self._reading:
            if self._read_at is not None and self._read_at >= asked:
                return
            began = self._seconds()
            self.brakes = await self._read()
            self._read_at = began

    def holding(self, point: BrakePoint) -> Brake | None:
        """The brake that holds what is about to begin there, the oldest one; None if nothing does."""
        return next((brake for brake in self.brakes if brake.holds(point)), None)
