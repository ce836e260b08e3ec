"""One contestant in a process of its own: runs workflows at some concurrency and reports what it took."""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import time
import uuid
from typing import Protocol

import psycopg
import uvloop
from sqlalchemy import URL, make_url

from app.amends.postgres.urls import conninfo

SETTLE_SECONDS = 1.5
"""Backends report their commits at most once a second."""


class Contestant(Protocol):
    async def run(self, id: str) -> None: ...


def commits(connection: psycopg.Connection) -> int:
    row = connection.execute("select xact_commit from pg_stat_database where datname = current_database()").fetchone()
    assert row is not None
    return int(row[0])


async def run_many(contestant: Contestant, count: int, concurrency: int) -> list[float]:
    """Seconds that each workflow took."""
    slots, took = asyncio.Semaphore(concurrency), []

    async def one() -> None:
        async with slots:
            began = time.perf_counter()
            await contestant.run(str(uuid.uuid4()))
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(one() for _ in range(count)))
    return sorted(took)


async def measure(contestant: Contestant, url: URL, count: int, concurrency: int) -> dict[str, float]:
    await run_many(contestant, max(count // 10, concurrency), concurrency)
    with psycopg.connect(conninfo(url), autocommit=True) as connection:
        await asyncio.sleep(SETTLE_SECONDS)
        before, began, cpu = commits(connection), time.perf_counter(), _cpu()
        took = await run_many(contestant, count, concurrency)
        seconds, cpu = time.perf_counter() - began, _cpu() - cpu
        await asyncio.sleep(SETTLE_SECONDS)
        after = commits(connection)
        await asyncio.sleep(seconds + SETTLE_SECONDS)
        idle = commits(connection) - after
    return {
        "per_second": count / seconds,
        "p50_ms": statistics.median(took) * 1000,
        "p95_ms": took[int(len(took) * 0.95)] * 1000,
        "cpu_ms": cpu / count * 1000,
        "commits": (after - before - idle) / count,
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def main(name: str, url: URL, count: int, concurrency: int) -> None:
    from benchmarks.amends import Amends
    from benchmarks.handwritten import Handwritten

    contestants: dict[str, type[Amends] | type[Handwritten]] = {"amends": Amends, "handwritten": Handwritten}
    async with contestants[name](url) as contestant:
        print(json.dumps(await measure(contestant, url, count, concurrency)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for argument, kind in {"name": str, "url": str, "count": int, "concurrency": int}.items():
        parser.add_argument(argument, type=kind)
    given = parser.parse_args()
    uvloop.run(main(given.name, make_url(given.url), given.count, given.concurrency))
