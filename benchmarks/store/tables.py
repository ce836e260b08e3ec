"""The figures as tables for a person."""

from __future__ import annotations

from rich import box
from rich.table import Table

from benchmarks.store.rounds import Row


def table(title: str, unit: str, rows: list[Row], batch: str = "") -> Table:
    """One line per case and contestant. `batch` is the column that says how many events each piece has, if one does.

    The last column stands beside each of the others and says how many times as much the last one of a case does.
    """
    shown = Table(title=title, box=box.SIMPLE_HEAD, padding=0)
    last = list(rows[0].figures)[-1]
    rates = [f"{unit}/s", *(["events/s"] if batch else [])]
    for column in (*rows[0].case, "", *rates, "p50 ms", "p95 ms", "Python\nCPU ms", f"{last}\nis"):
        shown.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        for name, each in row.figures.items():
            size = int(row.case[batch]) if batch else 1
            shown.add_row(
                *(f"{value:,}" if isinstance(value, int) else value for value in row.case.values()),
                name,
                number(each["per_second"]),
                *([number(each["per_second"] * size)] if batch else []),
                *(number(each[key]) for key in ("p50_ms", "p95_ms", "cpu_ms")),
                f"{row.ratios[name]:.2f} x" if name in row.ratios else "",
                end_section=name == last,
            )
    return shown


def number(value: float) -> str:
    """Three digits are all that means anything."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
