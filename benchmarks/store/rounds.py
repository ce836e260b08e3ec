"""Interleaved rounds: every contestant plays once in each, so that what the machine does besides hits all alike."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from benchmarks.store.measuring import Figures

SECONDS = 300


@dataclass(frozen=True)
class Entrant:
    """Who plays, in which module, on which database."""

    name: str
    module: str
    url: URL

    def play(self, case: str, *numbers: int) -> Figures:
        """Play a case in a process of its own."""
        command = [sys.executable, "-m", "benchmarks.store.contestant", self.module, case, conninfo(self.url)]
        done = subprocess.run(
            [*command, *map(str, numbers)],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
            timeout=SECONDS,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{self.name} failed at {case} {numbers}:\n{done.stderr[-2000:]}")
        figures: Figures = json.loads(done.stdout.splitlines()[-1])
        return figures


@dataclass(frozen=True)
class Row:
    """One case: the median of each figure, and how many times as much the last entrant does as each of the others."""

    case: dict[str, int | str]
    figures: dict[str, Figures]
    ratios: dict[str, float]


def interleave(
    case: dict[str, int | str],
    entrants: list[Entrant],
    play: Callable[[Entrant], Figures],
    rounds: int,
    played: Callable[[], None],
) -> Row:
    """The medians of some rounds. Ratios are taken within each round; the last entrant is compared with the others."""
    results: dict[str, list[Figures]] = {entrant.name: [] for entrant in entrants}
    for _ in range(rounds):
        for entrant in entrants:
            results[entrant.name].append(play(entrant))
            played()
    *others, last = results
    return Row(
        case,
        {name: _medians(figures) for name, figures in results.items()},
        {name: _ratio(results[last], results[name]) for name in others},
    )


def _medians(figures: list[Figures]) -> Figures:
    return {key: round(statistics.median(each[key] for each in figures), 3) for key in figures[0]}


def _ratio(mine: list[Figures], theirs: list[Figures]) -> float:
    pairs = zip(mine, theirs, strict=True)
    return round(statistics.median(my["per_second"] / their["per_second"] for my, their in pairs), 3)
