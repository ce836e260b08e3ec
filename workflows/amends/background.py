"""Tasks that run beside everything else: how they wait to be nudged, and how they are ended."""

from __future__ import annotations

import asyncio
from typing import Any

AGAIN_SECONDS = 3.0
"""How long a task that was cancelled may take before it is cancelled once more."""


async def cancel_tasks(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel tasks, and return once all of them have ended, however they did.

    One that goes on is cancelled again: Python 3.11's `asyncio.wait_for`, which psycopg's pool uses, forgets a cancel
    that comes at the same moment as what it waits for.
    """
    left = [task for task in tasks if task]
    while left:
        for task in left:
            task.cancel()
        ended, _ = await asyncio.wait(left, timeout=AGAIN_SECONDS)
        left = [task for task in left if task not in ended]
        await asyncio.gather(*ended, return_exceptions=True)


async def wait_until_set(event: asyncio.Event, seconds: float) -> bool:
    """Wait until an event is set; False if it was not within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
