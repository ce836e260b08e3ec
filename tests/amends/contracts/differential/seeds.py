"""One seed after the other carried out on both stores, for the commands and the soaks of their comparisons."""

from __future__ import annotations

import argparse
import time
from collections.abc import Awaitable, Callable
from random import randrange

from sqlalchemy import URL

from tests.amends.harness.databases import fresh_database, make_cluster, memory


async def compare_seeds(compare: Callable[[int], Awaitable[object]], seed: int | None, seconds: float) -> int:
    """Compare from a seed on, or from a random one, until the time is over; returns the last seed."""
    until, seed = time.monotonic() + seconds, randrange(10**9) if seed is None else seed
    while True:
        await compare(seed)
        if time.monotonic() > until:
            return seed
        seed += 1


async def compare_in_new_cluster(
    compare: Callable[[URL], Awaitable[int]], difference: type[AssertionError], summary: Callable[[], str]
) -> int:
    """Compare on a Postgres of its own, and print how that ended; returns the status of the command."""
    for cluster in make_cluster(within=memory()):
        try:
            seed = await compare(fresh_database(cluster))
        except difference as found:
            print(found)
            return 1
        print(f"No difference up to seed {seed}. {summary()}")
    return 0


def seed_parser(description: str | None, length: int) -> argparse.ArgumentParser:
    """The options of both commands."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seed", type=int, nargs="?")
    parser.add_argument("--length", type=int, default=length, help="how many operations a seed has")
    parser.add_argument("--minutes", type=float, default=0.0, help="go on with the next seeds for so long")
    return parser
