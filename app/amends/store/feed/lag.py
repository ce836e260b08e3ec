"""The lag of the feed: it ends before the oldest transaction that still writes, on the whole database server."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from app.amends.postgres.statements.reader import Reader
from app.amends.store.feed import SQL
from domain.amends.errors import Contended, Unavailable

log = logging.getLogger("amends.feed")

LOOK_SECONDS = 2.0
LONG_SECONDS = 7.0
"""How long a writing transaction may be open before a warning: with the interval and the answer, at most ten
seconds."""
AGAIN_SECONDS = 60.0


@dataclass(frozen=True)
class BlockingTransaction:
    """The writing transaction that the feed ends before: of a process, or a prepared one, which has a `gid`.

    `seconds` is its age; of a prepared one, since it was prepared; None if that may not be seen.
    """

    xid: str
    pid: int | None
    gid: str | None
    who: str | None
    database: str | None
    seconds: float | None
    replicates: bool = False
    """Whether it is a commit that waits for a synchronous standby."""

    def __str__(self) -> str:
        what = f"process {self.pid}" if self.pid else f"the prepared transaction {self._quoted}"
        return f"{what} ({self.who or 'unknown'}, database {self.database or 'unknown'})"

    @property
    def is_long(self) -> bool:
        """Whether it is open for so long that an operator should look."""
        return self.seconds is not None and self.seconds >= LONG_SECONDS

    @property
    def remedy(self) -> str:
        """How an operator ends it."""
        if self.replicates:
            return (
                "bring back a standby: the commit waits for one. Do not end or cancel it: that would show "
                "everybody what may still be lost"
            )
        if self.pid:
            return f"end it, or: select pg_terminate_backend({self.pid})"
        return (
            f"in database {self.database or 'unknown'}, as {self.who or 'its owner'}: commit prepared {self._quoted}, "
            f"or: rollback prepared {self._quoted}"
        )

    @property
    def _quoted(self) -> str:
        return "'" + (self.gid or "unknown").replace("'", "''") + "'"


async def blocking_transaction(reader: Reader) -> BlockingTransaction | None:
    """The transaction that blocks the feed now; None most of the time, for transactions of Amends are short."""
    row = await reader.row(SQL["held_back"], ())
    return None if row is None else BlockingTransaction(**row)


async def warn_of_feed_lag(reader: Reader) -> None:
    """Warn of transactions that block the feed for long, once a minute each; runs until it is cancelled."""
    seen: tuple[str, float, float] = ("", 0.0, 0.0)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            found = await blocking_transaction(reader)
        except (Unavailable, Contended):
            continue
        if found is None:
            continue
        now = time.monotonic()
        if found.xid != seen[0]:
            seen = (found.xid, now - (found.seconds or 0.0), 0.0)
        xid, since, warn_at = seen
        lasted = max(now - since, found.seconds or 0.0)  # it may have been prepared since, which hides how old it is
        if lasted >= max(LONG_SECONDS, warn_at):
            seen = (xid, since, lasted + AGAIN_SECONDS)
            log.warning(
                "The feed is held back for %.0f s by the open transaction of %s: nothing that was written since is "
                "seen by its readers. To go on, %s",
                lasted,
                found,
                found.remedy,
            )
