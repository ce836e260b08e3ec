"""What a page of the feed costs in the middle of a large store, of everything and of what is asked for alone."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from sqlalchemy import URL

from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.statements.committer import Committer
from app.amends.postgres.statements.reader import Reader
from app.amends.projections import SQL as PROJECTIONS
from app.amends.store.events.postgres_events import PostgresEvents
from app.amends.store.events.writer import EventWriter
from benchmarks.long.filling import RARE, cursor
from benchmarks.long.growth import Figures, Rounds, grown
from workflows.amends.ports.event_store import FeedCursor, FeedFilter
from workflows.amends.ports.projection_builds import COUNTED

ROUNDS, READS, LIMIT = 7, 40, 100
FEWEST, SECONDS = 3, 1.0
"""So many reads at least, and no further one once they have taken so long together."""
KINDS: dict[str, FeedFilter] = {
    "plain": FeedFilter(),
    "frequent_type": FeedFilter(type="order-placed"),
    "rare_type": FeedFilter(type="rare-thing"),
    "long_stream": FeedFilter(stream="account-long"),
    "rare_story": FeedFilter(correlation_id="rare-story"),
    "long_story": FeedFilter(correlation_id="everything"),
}
"""The rare ones have as many events in each store, the long stream every fifth event, the long story every tenth."""

Read = Callable[[FeedCursor], Awaitable[int]]
"""Reads something behind a place; returns how many events that are."""


def reads(reader: Reader, url: URL) -> dict[str, Read]:
    """What is read, by its name: a page of each kind, and how far one who wants the rare type is behind."""
    events = PostgresEvents(EventWriter(Committer(url, 1)), reader)

    def page(only: FeedFilter) -> Read:
        async def read(after: FeedCursor) -> int:
            return len(await events.feed(after, LIMIT, only))

        return read

    async def lag(after: FeedCursor) -> int:
        asked = after._asdict() | {"transaction_id": str(after.transaction_id), "limit": COUNTED, "type": "rare-thing"}
        (row,) = await reader.rows(PROJECTIONS["lag"], asked)
        return min(int(row["events"]), LIMIT)

    return {name: page(only) for name, only in KINDS.items()} | {"lag": lag}


async def measure(stores: dict[int, URL], advance: Callable[[], None]) -> dict[str, Any]:
    """Read in each store in turn, in rounds, after one that does not count. `advance` is called once for each."""
    rounds: Rounds = {size: [] for size in stores}
    async with AsyncExitStack() as stack:
        known: dict[int, dict[str, Read]] = {}
        for size, url in stores.items():
            known[size] = reads(Reader(await stack.enter_async_context(Pool(url, 2))), url)
        for number in range(ROUNDS + 1):
            for size, each in known.items():
                figures = await _round(each, size, number)
                if number:
                    rounds[size].append(figures)
                advance()
    return grown(rounds)


def units(stores: int) -> int:
    """How often `advance` is called."""
    return stores * (ROUNDS + 1)


async def _round(known: dict[str, Read], size: int, number: int) -> Figures:
    """The median of some reads of each kind, at places that are others in each round and the same for each kind."""
    some = random.Random(number)
    cursors = [FeedCursor(*cursor(int(size * some.uniform(0.4, 0.5)))) for _ in range(READS)]
    figures: Figures = {}
    for name, read in known.items():
        took: list[float] = []
        for after in cursors:
            began = time.perf_counter()
            found = await read(after)
            took.append((time.perf_counter() - began) * 1000)
            if found != LIMIT:
                raise RuntimeError(f"{name} behind {after} has {found} events, not {LIMIT}: of {RARE} half lie there")
            if len(took) >= FEWEST and sum(took) > SECONDS * 1000:
                break
        figures[f"{name}_ms"] = statistics.median(took)
    return figures
