"""Wakes the one task that waits for something to happen to its saga; what it was is looked up by whoever wakes."""

from __future__ import annotations

import asyncio


class Bell:
    """Rung by anybody in any thread, heard by one task; what was rung before is heard at once."""

    def __init__(self) -> None:
        self._rung, self._listener = False, None

    _listener: asyncio.Future[None] | None

    def ring(self) -> None:
        """Wake whoever listens, or whoever listens next."""
        self._rung = True
        listener = self._listener
        if listener is None or listener.done():
            return
        if asyncio._get_running_loop() is listener.get_loop():
            listener.set_result(None)
        else:
            listener.get_loop().call_soon_threadsafe(_wake, listener)

    async def wait(self, seconds: float | None = None) -> bool:
        """Return once it was rung, or after so many seconds; whether it was rung."""
        if not self._rung:
            loop = asyncio.get_running_loop()
            listener = self._listener = loop.create_future()
            timer = None if seconds is None else loop.call_later(max(seconds, 0), _wake, listener)
            try:
                await listener
            finally:
                if timer:
                    timer.cancel()
        rung, self._rung = self._rung, False
        return rung


def _wake(listener: asyncio.Future[None]) -> None:
    if not listener.done():
        listener.set_result(None)
