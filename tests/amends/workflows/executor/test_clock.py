"""The database's time, as a server tells it whatever its own clock says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from workflows.amends.clocks import clock
from workflows.amends.executor.clock import BACK, BLUR, OLD, DatabaseClock

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
MS = timedelta(milliseconds=1)


def told(it: DatabaseClock, at: datetime, took: float = 0.0, ago: float = 0.0) -> float:
    """Tell the clock a time whose answer came a while ago; returns when."""
    answered = clock() - ago
    it.synchronise(at, answered - took, answered)
    return answered


def shows(it: DatabaseClock, at: datetime, answered: float) -> bool:
    """Whether it shows what has become of a time since it was told."""
    before = clock() - answered
    shown = it.now()
    after = clock() - answered
    return at + timedelta(seconds=before) - MS <= shown <= at + timedelta(seconds=after) + MS


@pytest.mark.parametrize("skew", [timedelta(), timedelta(minutes=-1), timedelta(hours=3), timedelta(days=400)])
def test_it_tells_the_databases_time_whatever_the_machines_clock_says(skew: timedelta) -> None:
    it = DatabaseClock()
    at = datetime.now(UTC) + skew
    assert shows(it, at, told(it, at))


def test_until_it_is_told_it_tells_the_machines_time_and_takes_the_first_answer_however_slow() -> None:
    it = DatabaseClock()
    assert abs(it.now() - datetime.now(UTC)) < timedelta(minutes=1)
    assert shows(it, NOON, told(it, NOON, took=10 * BLUR))


def test_a_slow_answer_counts_only_once_the_last_good_one_is_old() -> None:
    it = DatabaseClock()
    first = told(it, NOON)
    told(it, NOON + timedelta(hours=1), took=2 * BLUR)
    assert shows(it, NOON, first)
    it = DatabaseClock()
    told(it, NOON, ago=2 * OLD)
    later = NOON + timedelta(hours=1)
    assert shows(it, later, told(it, later, took=2 * BLUR))


def test_it_never_goes_back_by_a_little_and_follows_a_database_that_was_set_back() -> None:
    it = DatabaseClock()
    told(it, NOON)
    seen = it.now()
    told(it, NOON - timedelta(milliseconds=BACK / 2))
    assert it.now() >= seen
    back = NOON - timedelta(minutes=5)
    assert shows(it, back, told(it, back))


def test_it_tells_whole_milliseconds() -> None:
    it = DatabaseClock()
    told(it, NOON + timedelta(microseconds=1234))
    assert it.now().microsecond % 1000 == 0
