"""Whether an append into a table of many millions of events costs more than one into an empty table."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from sqlalchemy import URL

from benchmarks.store.filling import database, fill, settle
from benchmarks.store.rounds import Entrant, interleave
from benchmarks.store.tables import table

EVENTS, CHUNK = 10_000_000, 200_000
ROUNDS = 7
WRITERS = (1, 8)


def compare(url: URL, console: Console, events: int = EVENTS) -> list[dict[str, Any]]:
    """Two databases of one server, one with `events` and one without; each append begins a stream somewhere."""
    (_, empty), (owner, full) = database(url, "bench_empty"), database(url, "bench_full")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        filling = progress.add_task("filling", total=events)
        for done in fill(owner, events, CHUNK):
            progress.update(filling, completed=done)
        settle(owner)
        entrants = [Entrant("empty", "amends", empty), Entrant("full", "amends", full)]
        task = progress.add_task("appends", total=len(WRITERS) * ROUNDS * len(entrants))
        rows = [
            interleave(
                {"writers": writers},
                entrants,
                lambda entrant, writers=writers: entrant.play("append_anew", 1, writers),  # type: ignore[misc]
                ROUNDS,
                lambda: progress.advance(task),
            )
            for writers in WRITERS
        ]
    console.print(
        table(f"Appending an event that begins a stream: empty table, and {events:,} events", "appends", rows)
    )
    return [asdict(row) for row in rows]
