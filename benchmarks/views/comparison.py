"""Catching up beside the library eventsourcing; a rebuild of a million events while the live one is in full use."""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sqlalchemy import URL

from benchmarks.store.filling import database
from benchmarks.store.tables import number
from benchmarks.views import ours, theirs
from benchmarks.views.filling import fill

ROUNDS = 3
ROWS, EVENTS, MILLION = 100_000, 300_000, 1_000_000
THEIRS = 3_000
SECONDS = 15.0


def compare(url: URL, console: Console) -> dict[str, Any]:
    """Interleaved rounds of catching up, then one rebuild and one quiet stretch under load."""
    owner, service = database(url, "bench_views")
    big_owner, big = database(url, "bench_views_big")
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("filling", total=EVENTS + MILLION)
        for done in fill(owner, ROWS, EVENTS):
            progress.update(task, completed=done)
        for done in fill(big_owner, ROWS, MILLION):
            progress.update(task, completed=EVENTS + done)
    theirs.fill(owner, THEIRS)
    figures = _catching_up(owner, service)
    figures["rebuild"] = asyncio.run(ours.under_load(big, ROWS, 0, with_rebuild=True))
    figures["live"] = asyncio.run(ours.under_load(big, ROWS, SECONDS, with_rebuild=False))
    _show(console, figures)
    return figures


def _catching_up(owner: URL, service: URL) -> dict[str, Any]:
    rates: dict[str, list[float]] = {"eventsourcing": [], "amends": []}
    for _ in range(ROUNDS):
        took, events = theirs.catch_up(owner)
        rates["eventsourcing"].append(events / took)
        took, events = asyncio.run(ours.rebuild(service))
        rates["amends"].append(events / took)
    ratio = statistics.median(mine / other for mine, other in zip(rates["amends"], rates["eventsourcing"], strict=True))
    medians = {name: round(statistics.median(each), 1) for name, each in rates.items()}
    return {"catch_up": medians | {"ratio": round(ratio, 2), "rows": ROWS, "events": EVENTS}}


def _show(console: Console, figures: dict[str, Any]) -> None:
    caught, rebuilt, live = figures["catch_up"], figures["rebuild"], figures["live"]
    table = Table(title=f"Read model of {ROWS:,} rows", box=box.SIMPLE_HEAD, padding=0)
    table.add_column("")
    table.add_column("", justify="right", no_wrap=True)
    table.add_row("eventsourcing, events/s", number(caught["eventsourcing"]))
    table.add_row("amends, events/s", number(caught["amends"]))
    table.add_row("amends is", f"{caught['ratio']:.1f} x", end_section=True)
    table.add_row(f"rebuild of {MILLION:,} events beside 500 appends/s, seconds", number(rebuilt["seconds"]))
    table.add_row("events/s", number(rebuilt["per_second"]))
    table.add_row("feed held back at most, ms", number(rebuilt["held_back_max_ms"]))
    table.add_row("lag of the live one p50, p99, max, ms", _lags(rebuilt), end_section=True)
    table.add_row("500 appends/s without a rebuild: lag p50, p99, max, ms", _lags(live))
    console.print(table)


def _lags(figures: dict[str, float]) -> str:
    return " / ".join(number(figures[key]) for key in ("lag_p50_ms", "lag_p99_ms", "lag_max_ms"))
