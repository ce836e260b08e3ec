"""What a figure comes to where there is ten times, or a hundred times, as much of something."""

from __future__ import annotations

import statistics
from itertools import combinations
from typing import Any

Figures = dict[str, float]
Rounds = dict[int, list[Figures]]
"""By size, one set of figures for each round; rounds of all sizes are interleaved."""

LONGEST = "healthz_ms"
"""Figures that end so say how long something took at most: of these the highest is shown, not the median."""


def grown(rounds: Rounds) -> dict[str, Any]:
    """The median of each figure by size, and how many times as much it is as with each smaller size.

    Ratios are taken within each round, and the median of those is told.
    """
    names = list(next(iter(rounds.values()))[0])
    pairs = sorted(combinations(sorted(rounds), 2), key=lambda pair: (pair[0], pair[1]))
    return {
        "measured": {str(size): {name: _one(each, name) for name in names} for size, each in rounds.items()},
        "growth": {
            name: {f"{more}/{fewer}": _ratio(rounds[more], rounds[fewer], name) for fewer, more in pairs}
            for name in names
        },
    }


def slope(rounds: Rounds, name: str) -> float:
    """How many microseconds each further one costs, from the smallest size to the largest."""
    fewest, most = min(rounds), max(rounds)
    further = (more[name] - less[name] for less, more in zip(rounds[fewest], rounds[most], strict=True))
    return round(statistics.median(further) / (most - fewest) * 1000, 2)


def _one(figures: list[Figures], name: str) -> float:
    values = [each[name] for each in figures]
    return round(max(values) if name.endswith(LONGEST) else statistics.median(values), 2)


def _ratio(more: list[Figures], fewer: list[Figures], name: str) -> float:
    return round(statistics.median(mine[name] / other[name] for mine, other in zip(more, fewer, strict=True)), 2)
