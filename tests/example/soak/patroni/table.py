"""The table at the end."""

from __future__ import annotations

from collections.abc import Sequence

from tests.example.soak.patroni.playing import Outcome

HEAD = (
    *("scenario", "replication", "through", "sagas", "database away", "first read", "first write"),
    *("read gap", "write gap", "step gap", "lost", "told", "ended", "wrong"),
)


def table(outcomes: Sequence[Outcome]) -> str:
    rows = [HEAD, *(_row(outcome) for outcome in outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _row(outcome: Outcome) -> tuple[str, ...]:
    scenario = outcome.scenario
    times = (
        *(outcome.database_gap, outcome.first_read, outcome.first_write),
        *(outcome.read_gap, outcome.write_gap, outcome.step_gap),
    )
    return (
        *(scenario.name, scenario.settings.name, scenario.way, str(outcome.sagas)),
        *(f"{seconds:.1f} s" for seconds in times),
        *(str(outcome.lost), str(outcome.told), " ".join(map(str, outcome.ends)) or "-", str(len(outcome.wrong))),
    )
