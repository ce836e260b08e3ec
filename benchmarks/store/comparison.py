"""Appends, loads, decisions and the feed: beside the library eventsourcing, and beside one row per commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.progress import Progress
from sqlalchemy import URL

from benchmarks.store.filling import database, fill, settle
from benchmarks.store.rounds import Entrant, Row, interleave
from benchmarks.store.sizes import FEED, LENGTHS, LONGEST, loaded
from benchmarks.store.tables import table

ROUNDS = 3
BATCHES, WRITERS = (1, 10, 100), (1, 8, 32)
PAGE, CHUNK = 1000, 2000


@dataclass(frozen=True)
class Part:
    """Cases that are shown in one table; `batch` is the column that says how many events each piece has."""

    title: str
    unit: str
    play: str
    cases: Sequence[tuple[dict[str, int], list[Entrant]]]
    batch: str = ""


def compare(url: URL, console: Console) -> dict[str, Any]:
    """Interleaved rounds, each contestant in a process of its own; the median of each figure."""
    owner, service = database(url, "bench_store")
    floor, theirs = Entrant("floor", "floor", owner), Entrant("eventsourcing", "pyeventsourcing", owner)
    ours = Entrant("amends", "amends", service)
    parts = [_appends(floor, theirs, ours), *_reads(theirs, ours)]
    figures: dict[str, Any] = {}
    with Progress(console=console) as progress:
        _prepare(owner, theirs, progress)
        rounds = sum(len(entrants) for part in parts for _, entrants in part.cases)
        task = progress.add_task("store", total=rounds * ROUNDS)
        for part in parts:
            rows = [_row(part, numbers, entrants, progress, task) for numbers, entrants in part.cases]
            figures[part.play] = [asdict(row) for row in rows]
            console.print(table(part.title, part.unit, rows, part.batch))
    return figures


def _appends(floor: Entrant, theirs: Entrant, ours: Entrant) -> Part:
    cases = [
        ({"events": events, "writers": writers}, [floor, theirs, ours] if events == 1 else [theirs, ours])
        for events in BATCHES
        for writers in WRITERS
    ]
    return Part("Appending events at the expected version, one stream per writer", "appends", "append", cases, "events")


def _reads(theirs: Entrant, ours: Entrant) -> list[Part]:
    both = [theirs, ours]
    loads = [*(({"events": length}, both) for length in LENGTHS), ({"events": LONGEST}, [ours])]
    return [
        Part("Loading an account from its first event on", "loads", "load", loads, "events"),
        Part("Loading an account from a snapshot at its end (from 500 events on)", "loads", "load_kept", loads),
        Part("Deciding: load, decide, append", "decisions", "decide", [({"writers": n}, both) for n in WRITERS]),
        Part(f"Reading a feed of {FEED:,} events", "pages", "feed", [({"events": PAGE}, both)], "events"),
    ]


def _row(part: Part, numbers: dict[str, int], entrants: list[Entrant], progress: Progress, task: Any) -> Row:
    return interleave(
        dict(numbers),
        entrants,
        lambda entrant: entrant.play(part.play, *numbers.values()),
        ROUNDS,
        lambda: progress.advance(task),
    )


def _prepare(owner: URL, theirs: Entrant, progress: Progress) -> None:
    """The feed to be read, and the accounts to be loaded."""
    task = progress.add_task("filling", total=FEED)
    for done in fill(owner, FEED, CHUNK):
        progress.update(task, completed=done)
    for length in (*LENGTHS, LONGEST):
        list(fill(owner, length, length, length, f"account-{loaded(length)}"))
    theirs.play("fill")
    settle(owner)
