"""What a wake, a signal and a page of a long saga cost, and pages of the feed of a large store, and how that grows."""

from __future__ import annotations

import asyncio
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from sqlalchemy import URL

from benchmarks.long import feed, steps
from benchmarks.long.filling import fill
from benchmarks.store.filling import database
from benchmarks.store.tables import number

MILLION, EVENTS = 1_000_000, 10_000_000


def compare(url: URL, console: Console, events: int = EVENTS) -> dict[str, Any]:
    """Sagas of each length on one server, then stores of a million events and of `events`, if these are more."""
    sizes = [MILLION, events] if events > MILLION else [events]
    owner, _ = database(url, "bench_long_sagas")
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        asked = progress.add_task("long sagas", total=steps.UNITS)
        figures: dict[str, Any] = {"steps": steps.measure(owner, lambda: progress.advance(asked))}
        stores = {size: _filled(url, size, progress) for size in sizes}
        read = progress.add_task("feed", total=feed.units(len(stores)))
        figures["feed"] = asyncio.run(feed.measure(stores, lambda: progress.advance(read)))
    console.print(_table("Long sagas, ms", "steps", figures["steps"], figures["steps"]["us_per_step"]))
    console.print(_table(f"Pages of {feed.LIMIT} events in the middle of the feed, ms", "events", figures["feed"]))
    return figures


def _filled(url: URL, events: int, progress: Progress) -> URL:
    owner, service = database(url, f"bench_long_{events}")
    task = progress.add_task(f"{events:,} events", total=1.0)
    for share in fill(owner, events):
        progress.update(task, completed=share)
    return service


def _table(title: str, unit: str, figures: dict[str, Any], per_one: dict[str, float] | None = None) -> Table:
    """A line per figure: how much it is by size, and its growth; `per_one` is what each further one costs, in µs."""
    measured, growth = figures["measured"], figures["growth"]
    fewest, *more = map(int, measured)
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=0)
    table.add_column("", no_wrap=True)
    sizes = [f"{int(size):,}\n{unit}" for size in measured]
    for column in [*sizes, *(f"x {size // fewest}" for size in more), *(["µs/step"] if per_one else [])]:
        table.add_column(column, justify="right", no_wrap=True)
    for name, times in growth.items():
        what = name.removesuffix("_ms")
        table.add_row(
            what.replace("_", " "),
            *(number(each[name]) for each in measured.values()),
            *(f"{times[f'{size}/{fewest}']:.2f} x" for size in more),
            *([f"{per_one[what]:.1f}" if what in per_one else ""] if per_one else []),
        )
    return table
