"""What holds the feed back: the oldest transaction that still writes, on the whole database server."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from app.store.events import SQL
from app.store.reader import Reader
from domain.errors import Contended, Unavailable

log = logging.getLogger("amends.feed")

LOOK_SECONDS = 5.0
LONG_SECONDS = 10.0
"""For how long a writing transaction may be open before it is warned of."""
AGAIN_SECONDS = 60.0


@dataclass(frozen=True)
class Holder:
    """A transaction that has begun to write and is not over. `seconds` is its age; a prepared one has no `pid`."""

    pid: int | None
    application: str | None
    database: str | None
    seconds: float

    def __str__(self) -> str:
        who = f"process {self.pid}" if self.pid else "a prepared transaction"
        return f"{who} ({self.application or 'unknown'}, database {self.database or 'unknown'})"


async def holder(reader: Reader) -> Holder | None:
    """Who holds the feed back right now; None most of the time, for transactions of ours are short."""
    row = await reader.row(SQL["held_back"], ())
    if row is None:
        return None
    return Holder(row["pid"], row["application_name"], row["datname"], row["seconds"] or 0.0)


async def watch(reader: Reader) -> None:
    """Warn of transactions that hold the feed back for long, once a minute each; runs until it is cancelled."""
    warned: tuple[int | None, float] = (None, 0.0)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            found = await holder(reader)
        except (Unavailable, Contended):
            continue
        if found is None or found.seconds < LONG_SECONDS:
            continue
        if found.pid != warned[0] or found.seconds - warned[1] >= AGAIN_SECONDS:
            warned = (found.pid, found.seconds)
            log.warning(
                "The feed is held back for %.0f s by the open transaction of %s: nothing that was written since is "
                "seen by its readers. End it, or: select pg_terminate_backend(%s)",
                found.seconds,
                found,
                found.pid,
            )
