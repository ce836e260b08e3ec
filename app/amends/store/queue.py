"""What stands in the queue, and what sagas wait for: counts for metrics, the doctor and lists, each up to a limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.statements.reader import Reader
from app.amends.store.sagas.causes import MOST_COUNTED

SQL = load_statements(Path(__file__).with_name("queue.sql"))
LONG_QUEUED_SECONDS: Final = 60.0
"""A start that no server has begun for so long is told of."""


@dataclass(frozen=True)
class QueuedStarts:
    """Starts of one type by one caller that no server has begun, `since` when the oldest is queued, for how long."""

    name: str
    version: int
    actor: str
    count: int
    since: datetime
    seconds: float


async def queued_starts(reader: Reader) -> list[QueuedStarts]:
    """Starts that no server has begun, the oldest first; of more than `MOST_COUNTED` the oldest are counted."""
    return [QueuedStarts(**row) for row in await reader.rows(SQL["queued_starts"], {"limit": MOST_COUNTED})]


async def queue_depth(reader: Reader) -> int:
    """How many sagas stand in the queue, `MOST_COUNTED` at most."""
    (row,) = await reader.rows(SQL["queue_depth"], {"limit": MOST_COUNTED})
    return int(row["count"])


async def waiting_by_reason(reader: Reader) -> dict[str, int]:
    """How many sagas wait for what, `MOST_COUNTED` of each at most."""
    rows = await reader.rows(SQL["waiting"], {"limit": MOST_COUNTED})
    return {row["reason"]: min(row["count"], MOST_COUNTED) for row in rows}


def long_queued(starts: Sequence[QueuedStarts]) -> str | None:
    """What is to be said if starts have been queued for long; None if they have not."""
    if not any(each.seconds > LONG_QUEUED_SECONDS for each in starts):
        return None
    types = Counter[str]()
    for each in starts:
        types[f"{each.name}:{each.version}"] += each.count
    more = "+" if types.total() >= MOST_COUNTED else ""
    named = ", ".join(f"{count:,} of {saga_type}" for saga_type, count in types.most_common())
    since = f"{starts[0].since:%Y-%m-%d %H:%M:%S}"
    return f"{types.total():,}{more} starts wait for a server, the oldest since {since}: {named}"
