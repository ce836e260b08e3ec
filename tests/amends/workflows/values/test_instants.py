"""Dates and times from outside are what they say: never seconds since 1970 that happen to be digits."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any, Generic, NamedTuple, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel
from pydantic_core import to_json

from domain.amends.errors import Invalid
from workflows.amends.values.codec import load_input, parse_json

T = TypeVar("T")

AT, ON = "2026-01-31T12:00:00Z", "2026-01-31"
DIGITS = st.from_regex(r"[+-]?[0-9]{1,20}(\.[0-9]{1,9})?", fullmatch=True)
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
INSTANTS = st.datetimes(timezones=st.just(UTC) | OFFSETS)


class Model(BaseModel):
    at: datetime
    on: date = date(2026, 1, 1)


class Pair(NamedTuple):
    at: datetime
    on: date


@dataclass(frozen=True)
class Box(Generic[T]):
    held: T


@dataclass(frozen=True)
class Booking:
    """Fields whose names are words of pydantic's schemas are among them."""

    at: AwareDatetime
    type: date | datetime | None = None
    default: datetime = datetime(2026, 1, 1)
    metadata: tuple[datetime, ...] = ()
    model: Model | None = None
    pair: Pair | None = None
    box: Box[date] | None = None
    by_day: dict[date, str] = field(default_factory=dict)
    members: list[Booking] = field(default_factory=list)


GOOD: dict[str, Any] = {
    "at": AT,
    "type": ON,
    "default": AT,
    "metadata": [AT, AT],
    "model": {"at": AT, "on": ON},
    "pair": [AT, ON],
    "box": {"held": ON},
    "by_day": {ON: "a Saturday"},
}
PATHS: list[tuple[Any, ...]] = [
    ("at",),
    ("type",),
    ("default",),
    ("metadata", 1),
    ("model", "at"),
    ("model", "on"),
    ("pair", 0),
    ("pair", 1),
    ("box", "held"),
    ("members", 0, "at"),
    ("members", 0, "model", "on"),
]


def test_what_is_written_as_it_must_be_is_read() -> None:
    at, on = datetime(2026, 1, 31, 12, tzinfo=UTC), date(2026, 1, 31)
    booking = Booking(at, on, at, (at, at), Model(at=at, on=on), Pair(at, on), Box(on), {on: "a Saturday"})
    assert load_input(GOOD, Booking) == booking
    assert load_input(GOOD | {"type": AT, "members": [GOOD]}, Booking).members == [booking]


@pytest.mark.parametrize("path", PATHS)
@given(digits=DIGITS)
def test_digits_are_no_date_wherever_they_stand(path: tuple[Any, ...], digits: str) -> None:
    wrong = parse_json(to_json(GOOD | {"members": [GOOD]}))
    place = wrong
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = digits
    with pytest.raises(Invalid) as refused:
        load_input(wrong, Booking)
    assert refused.value.field.startswith(".".join(map(str, path)))


@given(digits=DIGITS)
def test_digits_are_no_key_of_a_day(digits: str) -> None:
    with pytest.raises(Invalid, match="by_day"):
        load_input(GOOD | {"by_day": {digits: "?"}}, Booking)


@given(INSTANTS)
def test_every_instant_comes_back(at: datetime) -> None:
    assert load_input(at.isoformat(), datetime) == at
    assert load_input(at.isoformat(), datetime).utcoffset() == at.utcoffset()


@given(st.dates())
def test_every_day_comes_back(on: date) -> None:
    assert load_input(on.isoformat(), date) == on


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("2026-02-30T00:00:00Z", "day value"),
        ("2026-01-31T24:00:00Z", "hour value"),
        ("2026-01-31T23:59:60Z", "second value"),
        ("2026-01-31", "as 2026-01-31T12:00:00Z is"),
        (" 2026-01-31T12:00:00Z", "as 2026-01-31T12:00:00Z is"),
        (1767225600, "valid datetime"),
        (None, "valid datetime"),
    ],
)
def test_what_is_no_instant_says_so(value: object, problem: str) -> None:
    with pytest.raises(Invalid, match=problem):
        load_input(value, datetime)


def test_a_time_of_day_and_a_duration_are_read_as_before() -> None:
    assert load_input("10:30", time) == time(10, 30)
    assert load_input("PT5S", timedelta) == timedelta(seconds=5)
