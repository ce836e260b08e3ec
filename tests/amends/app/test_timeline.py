"""A saga drawn as bars of time, and lists of sagas, on terminals of any width."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.amends.cli.timeline.drawing import drawn_lines, duration
from app.amends.cli.timeline.rows import DrawnTimeline, timeline_rows
from app.amends.output.lists import ListedSaga, list_lines

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> str:
    return (BEGIN + timedelta(seconds=seconds)).isoformat()


def told(seconds: float, type: str, **data: Any) -> dict[str, Any]:
    """An event as the API shows it."""
    return {"recorded_at": at(seconds), "type": type, "data": data, "metadata": {}}


def of_step(step: str, began: float, **more: Any) -> dict[str, Any]:
    return {"step": step, "occurrence": 1, "started_at": at(began), "attempts": 1} | more


def of_undo(step: str, compensation: str, **more: Any) -> dict[str, Any]:
    return {"step": step, "occurrence": 1, "compensation": compensation, "attempts": 1, "by": "compensation"} | more


EVENTS = [
    told(0, "saga-started"),
    told(1, "step-completed", **of_step("open_order", 0)),
    told(2, "step-retrying", **of_step("hold_stock", 1, next_at=at(4))),
    told(5, "step-completed", **of_step("hold_stock", 1, attempts=2)),
    told(5, "saga-waiting", signal="approval", until=None),
    told(8, "wait-ended", signal="approval", by="signal"),
    told(9, "step-refused", **of_step("charge_card", 8)),
    told(9, "saga-compensating", reason="declined"),
    told(9.5, "step-compensated", **of_undo("hold_stock", "release_stock")),
    told(10, "step-compensated", **of_undo("open_order", "cancel_order")),
]


def drawn(events: list[dict[str, Any]], now: float | None = None) -> DrawnTimeline:
    found = timeline_rows(events, None if now is None else BEGIN + timedelta(seconds=now))
    assert found is not None
    return found


def test_compensations_stand_beside_their_steps_with_each_attempt_and_wait() -> None:
    assert [*drawn_lines(drawn(EVENTS), 80, unicode=False)] == [
        "open_order        ###                              1.000 s  completed",
        "  < cancel_order                          ##       0.500 s  completed",
        "hold_stock          xxxx....###                    4.000 s  completed, attempt 2",
        "  < release_stock                        ##        0.500 s  completed",
        "approval                       ........            3.000 s  came",
        "charge_card                           xxxx         1.000 s  refused",
        "# done  x failed  . waits  10.000 s in all",
    ]


@pytest.mark.parametrize("unicode", [False, True])
@pytest.mark.parametrize("width", [1, 20, 59, 60, 80, 120, 300])
def test_a_timeline_fits_a_terminal_of_any_width(width: int, unicode: bool) -> None:
    lines = [*drawn_lines(drawn(EVENTS), width, unicode)]
    assert max(map(len, lines[:-1])) <= max(width, 32)
    assert all(name in "\n".join(lines) for name in ("hold_stock", "cancel_order", "approval", "refused"))
    assert unicode or "".join(lines).isascii()


def test_what_still_lasts_goes_on_until_now() -> None:
    (row,) = drawn([told(0, "step-waiting", **of_step("book", 0, provider="travel"))], now=7).rows
    assert row.outcome == "waits for travel"
    assert [(span.kind, (span.end - span.begin).total_seconds()) for span in row.spans] == [("waits", 7.0)]


def test_events_that_are_unknown_or_masked_whole_are_no_rows() -> None:
    masked = told(1, "step-completed", step="***", occurrence="***", started_at="***", attempts="***")
    assert drawn([told(0, "saga-started"), masked, told(2, "saga-of-tomorrow", x=1)]).rows == []
    assert timeline_rows([]) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0204, "0.020 s"), (59.9, "59.900 s"), (61, "1 min 01 s"), (7260, "2 h 01 min"), (180_000, "2 d 2 h")],
)
def test_a_duration_is_said_in_two_units(seconds: float, text: str) -> None:
    assert duration(timedelta(seconds=seconds)) == text


LISTED = [
    ListedSaga("2026-01-01 00:00:00", "stuck", "place-order", "o-1", "o-1", "the warehouse is closed"),
    ListedSaga("2026-01-01 00:00:00", "completed", "transfer-money", "0f8b7d1c-6d0e-4c0b-9a55-d1a2b3c4d5e6", "t-1", ""),
]


@pytest.mark.parametrize("width", [30, 70, 90, 200])
def test_a_list_fits_the_terminal_and_cuts_no_id(width: int) -> None:
    lines = [*list_lines(LISTED, width)]
    for each in LISTED:
        assert any(each.id in line for line in lines)
    if width >= 120:
        assert len(lines) == len(LISTED)
    assert max(len(line) for line in lines if "2026" in line) <= max(width, 50)


def test_a_list_for_other_programs_has_a_line_for_each() -> None:
    assert [line.split() for line in list_lines(LISTED, None)] == [
        ["2026-01-01", "00:00:00", "stuck", "place-order", "o-1", "o-1", "the", "warehouse", "is", "closed"],
        ["2026-01-01", "00:00:00", "completed", "transfer-money", LISTED[1].id, "t-1"],
    ]
