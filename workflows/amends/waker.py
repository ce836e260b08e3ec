"""Wakes the one task that waits for something to happen to its saga; what it was is looked up by whoever wakes."""

from __future__ import annotations

import asyncio


class Waker:
    """Used by anybody in any thread to wake one task; one that waits later is woken at once."""

    def __init__(self) -> None:
        self._woken, self._listener = False, None

    _listener: asyncio.Future[None] | None

    def wake(self) -> None:
        """Wake whoever listens, or whoever listens next."""
        self._woken = True
        listener = self._listener
        if listener is None or listener.done():
            return
        if asyncio._get_running_loop() is listener.get_loop():
            listener.set_result(None)
        else:
            listener.get_loop().call_soon_threadsafe(_wake, listener)

    async def wait(self, seconds: float | None = None) -> bool:
        """Return once it was woken, or after so many seconds; whether it was woken."""
        if not self._woken:
            loop = asyncio.get_running_loop()
            listener = self._listener = loop.create_future()
            timer = None if seconds is None else loop.call_later(max(seconds, 0), _wake, listener)
            try:
                await listener
            finally:
                if timer:
                    timer.cancel()
        woken, self._woken = self._woken, False
        return woken


def _wake(listener: asyncio.Future[None]) -> None:
    if not listener.done():
        listener.set_result(None)
