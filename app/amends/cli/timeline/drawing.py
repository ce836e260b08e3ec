"""The timeline of a saga as bars of time, on a terminal of any width, in ASCII if it has no more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil, floor
from typing import Final

from app.amends.cli.timeline.rows import DrawnTimeline, Span, TimelineRow
from workflows.amends.history.timeline_bar import BarKind
from workflows.amends.values.printable import escaped

ABOVE: Final[tuple[BarKind, ...]] = ("waits", "runs", "done", "failed")
NARROW: Final = 60
"""Columns of a terminal below which a bar stands below its label."""
OUTCOME: Final = 24
"""Columns that outcomes may take beside their bars; a longer one stands below."""
SHORTEST_BAR: Final = 10


@dataclass(frozen=True)
class Signs:
    """The characters of which a timeline consists."""

    bars: dict[BarKind, str]
    back: str
    cut: str


UNICODE: Final = Signs({"done": "█", "failed": "▒", "waits": "·", "runs": "▓"}, "↶ ", "…")
ASCII: Final = Signs({"done": "#", "failed": "x", "waits": ".", "runs": "="}, "< ", "~")
LEGEND: Final[dict[BarKind, str]] = {"done": "done", "failed": "failed", "waits": "waits", "runs": "runs"}


@dataclass(frozen=True)
class Layout:
    """How many columns each part of a row has; the parts stand below each other where `stacked`."""

    label: int
    bar: int
    outcome: int
    signs: Signs
    stacked: bool = False


def drawn_lines(timeline: DrawnTimeline, width: int, unicode: bool) -> Iterator[str]:
    """The lines of a timeline, none of them longer than `width` but for outcomes that hold ids."""
    layout = _layout(timeline, max(width, 2 * SHORTEST_BAR), UNICODE if unicode else ASCII)
    for row in timeline.rows:
        yield from _row_lines(row, timeline, layout)
    used = {span.kind for row in timeline.rows for span in row.spans}
    legend = "  ".join(f"{layout.signs.bars[kind]} {text}" for kind, text in LEGEND.items() if kind in used)
    if used:
        yield f"{legend}  {duration(timeline.end - timeline.begin)} in all"


def duration(lasted: timedelta) -> str:
    """A length of time in two units at most."""
    seconds = lasted.total_seconds()
    if seconds < 60:
        return f"{seconds:.3f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def _layout(timeline: DrawnTimeline, width: int, signs: Signs) -> Layout:
    longest = max((len(_label(row, signs)) for row in timeline.rows), default=0)
    if width < NARROW:
        return Layout(width, width, 0, signs, stacked=True)
    label = min(longest, width // 3)
    bar = width - label - 2 - DURATION - 2
    outcomes = [len(_outcome(row)) for row in timeline.rows]
    outcome = min(max((each for each in outcomes if each <= OUTCOME), default=0), OUTCOME)
    return Layout(label, bar - outcome, outcome, signs)


DURATION: Final = 13
"""Columns of the longest duration, and of a space before it."""


def _row_lines(row: TimelineRow, timeline: DrawnTimeline, layout: Layout) -> Iterator[str]:
    label, outcome = _label(row, layout.signs), _outcome(row)
    lasted = duration(row.spans[-1].end - row.spans[0].begin) if row.spans else ""
    bar = _bar(row.spans, timeline.begin, timeline.end, layout)
    if layout.stacked:
        yield _cut(label, layout)
        yield bar.rstrip()
        yield f"  {lasted}  {outcome}".rstrip()
        return
    beside = len(outcome) <= layout.outcome
    yield f"{_cut(label, layout):<{layout.label}} {bar} {lasted:>{DURATION}}  {outcome if beside else ''}".rstrip()
    if not beside:
        yield f"{'':<{layout.label}} {outcome}"


def _bar(spans: list[Span], begin: datetime, end: datetime, layout: Layout) -> str:
    """Each span has one column at least; where several meet in one, a failed attempt is shown, and a wait is not."""
    whole, cells = max((end - begin).total_seconds(), 1e-6), [" "] * layout.bar
    for span in sorted(spans, key=lambda span: ABOVE.index(span.kind)):
        first = min(floor((span.begin - begin).total_seconds() / whole * layout.bar), layout.bar - 1)
        last = max(ceil((span.end - begin).total_seconds() / whole * layout.bar), first + 1)
        cells[first:last] = layout.signs.bars[span.kind] * (last - first)
    return "".join(cells[: layout.bar])


def _label(row: TimelineRow, signs: Signs) -> str:
    return ("  " + signs.back if row.is_compensation else "") + escaped(row.label)


def _outcome(row: TimelineRow) -> str:
    return escaped(row.outcome)


def _cut(label: str, layout: Layout) -> str:
    return label if len(label) <= layout.label else label[: layout.label - 1] + layout.signs.cut
