"""Sagas of five steps against the same workflow hand-written on DBOS, at 1, 8 and 32 at a time."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo

ROUNDS = 3
RUNS = {1: 100, 8: 400, 32: 1000}
"""Concurrency, and how many workflows a round has."""
CONTESTANTS = ("handwritten", "amends")
SECONDS = 300

Figures = dict[str, float]


def compare(url: URL, console: Console) -> list[dict[str, Any]]:
    """Interleaved rounds, each contestant in a process of its own; the median of each figure."""
    rows = []
    with Progress(console=console) as progress:
        task = progress.add_task("sagas", total=len(RUNS) * ROUNDS * len(CONTESTANTS))
        for concurrency, count in RUNS.items():
            rounds: dict[str, list[Figures]] = {name: [] for name in CONTESTANTS}
            for _ in range(ROUNDS):
                for name in CONTESTANTS:
                    rounds[name].append(_run(name, url, count, concurrency))
                    progress.advance(task)
            medians = {name: _median(figures) for name, figures in rounds.items()}
            ratios = [mine["per_second"] / theirs["per_second"] for theirs, mine in zip(*rounds.values(), strict=True)]
            rows.append({"concurrency": concurrency, **medians, "ratio": statistics.median(ratios), "ratios": ratios})
    console.print(_table(rows))
    return rows


def _run(name: str, url: URL, count: int, concurrency: int) -> Figures:
    command = [sys.executable, "-m", "benchmarks.contestant", name, conninfo(url), str(count), str(concurrency)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=Path(__file__).parents[1], timeout=SECONDS, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr[-2000:]}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def _median(figures: list[Figures]) -> Figures:
    return {key: round(statistics.median(each[key] for each in figures), 2) for key in figures[0]}


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="5-step workflows, each step with one event")
    for column in ("at a time", "", "workflows/s", "ratio", "p50 ms", "p95 ms", "Python CPU ms", "commits"):
        table.add_column(column, justify="right")
    for row in rows:
        for name in CONTESTANTS:
            each, ratio = row[name], f"{row['ratio']:.1f}" if name == "amends" else ""
            table.add_row(
                str(row["concurrency"]),
                name,
                f"{each['per_second']:.0f}",
                ratio,
                *(f"{each[key]:.1f}" for key in ("p50_ms", "p95_ms", "cpu_ms", "commits")),
            )
    return table
