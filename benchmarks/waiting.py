"""Twenty thousand sagas that wait for a signal: what they cost while they wait, and how quickly one goes on."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import uvloop
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sqlalchemy import URL, make_url

from app.amends.postgres.urls import conninfo
from benchmarks.amends import Amends
from domain.amends.event import Cause
from workflows.amends.saga import Saga, signal

SAGAS = 20_000
TOGETHER = 64
IDLE_SECONDS = 20.0
SIGNALS = 300


@signal("go")
class Go:
    number: int


@dataclass(frozen=True)
class Waiter(Saga[str, int], name="waiter", signals=(Go,)):
    async def run(self, request: str) -> int:
        told = await self.receive(Go)
        return told.number if told else 0


def compare(url: URL, console: Console) -> dict[str, float]:
    """Start them in one process, then look at them from a second one, as after a restart."""
    with Progress(console=console) as progress:
        task = progress.add_task("waiting", total=2)
        begun = _run("begin", url)
        progress.advance(task)
        found = _run("restart", url)
        progress.advance(task)
    figures = {**begun, **found}
    table = Table("what", "measured", "goal", title=f"{SAGAS} waiting sagas")
    for what, goal in GOALS.items():
        table.add_row(what.replace("_", " "), f"{figures[what]:.1f}", goal)
    console.print(table)
    return figures


GOALS = {
    "started_per_second": "",
    "memory_mb": "600",
    "cpu_percent_idle": "5",
    "seconds_until_back": "60",
    "signal_p50_ms": "50",
    "signal_p95_ms": "",
}


def _run(part: str, url: URL) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.waiting", part, conninfo(url)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)
    if done.returncode:
        raise RuntimeError(f"{part} failed:\n{done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


async def begin(url: URL) -> dict[str, float]:
    """Start them all, until each waits."""
    async with Amends(url, Waiter()) as amends:
        slots, began = asyncio.Semaphore(TOGETHER), time.perf_counter()

        async def one(number: int) -> None:
            async with slots:
                await amends.run_saga("waiter", "x", f"waiter-{number}")

        await asyncio.gather(*map(one, range(SAGAS)))
        return {"started_per_second": SAGAS / (time.perf_counter() - began)}


async def restart(url: URL) -> dict[str, float]:
    """A fresh process: until it has all of them, what it costs to have them, and until one that is told has ended."""
    began = time.perf_counter()
    async with Amends(url, Waiter()) as amends:
        while (await _waiting(amends)) < SAGAS:  # noqa: ASYNC110 (a row in the database has no event)
            await asyncio.sleep(0.1)
        back = time.perf_counter() - began
        cpu = _cpu()
        await asyncio.sleep(IDLE_SECONDS)
        idle = (_cpu() - cpu) / IDLE_SECONDS * 100
        took = [await _told(amends, number) for number in range(SIGNALS)]
        memory = psutil.Process(os.getpid()).memory_info().rss / 2**20
    return {
        "seconds_until_back": back,
        "cpu_percent_idle": idle,
        "memory_mb": memory,
        "signal_p50_ms": statistics.median(took) * 1000,
        "signal_p95_ms": sorted(took)[int(len(took) * 0.95)] * 1000,
    }


async def _waiting(amends: Amends) -> int:
    rows = await amends.reader.rows("select count(*) as waiting from amends.sagas where status = 'waiting'", ())
    return int(rows[0]["waiting"])


async def _told(amends: Amends, number: int) -> float:
    """Seconds from the signal until the saga has gone on and is finished."""
    id, ended = f"waiter-{number}", asyncio.Event()
    amends.engine.on_inactive = lambda rested: ended.set() if rested == id else None
    began = time.perf_counter()
    await amends.engine.saga_client.signal(id, "go", {"number": number}, Cause())
    amends.engine.request_queue_check()
    await asyncio.wait_for(ended.wait(), 30)
    return time.perf_counter() - began


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def main(part: str, url: URL) -> None:
    parts: dict[str, Any] = {"begin": begin, "restart": restart}
    print(json.dumps(await parts[part](url)))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], make_url(sys.argv[2])))
