"""Values of every type that is accepted, drawn at random, in one class: for whoever keeps them and reads them again."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

from hypothesis import strategies as st
from pydantic import BaseModel, Field, JsonValue


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Mixed(Enum):
    TEXT = "1"
    NUMBER = 1


class Point(NamedTuple):
    x: int
    label: str


@dataclass(frozen=True)
class Yes:
    by: str
    kind: Literal["yes"] = "yes"


@dataclass(frozen=True)
class No:
    by: str
    kind: Literal["no"] = "no"


@dataclass(frozen=True)
class Tree:
    value: float
    below: tuple[Tree, ...] = ()


class Renamed(BaseModel):
    amount: Decimal = Field(alias="the amount")


@dataclass(frozen=True, kw_only=True)
class Values:
    """One field of each kind."""

    text: str
    flag: bool
    number: int
    real: float
    amount: Decimal
    day: date
    at: datetime
    id: UUID
    word: Literal["a", "b"]
    colour: Colour
    level: Level
    mixed: Mixed
    moments: tuple[datetime | UUID, ...]
    clock: time
    lasting: timedelta
    either: str | int | None
    maybe: Decimal | None
    choice: Yes | No
    answers: list[Yes | str | bool]
    pairs: dict[str, int]
    days: dict[date, tuple[int, str]]
    levels: dict[Level, Decimal]
    free: JsonValue
    point: Point
    tree: Tree
    renamed: Annotated[Renamed, "as it is"]


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.integers(-(2**63), 2**63 - 1)
REALS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([-0.0, 1e16, 1e20, 1e308, -1e22, 5e-324])
AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, places=None) | st.sampled_from(
    [Decimal(each) for each in ("90071992547409.93", "1E+20", "-0", "-0.00", "1.10", "1E-30", "0E+5")]
)
ZONES: st.SearchStrategy[tzinfo] = st.sampled_from(
    [UTC, timezone(timedelta(hours=2)), timezone(-timedelta(hours=9, minutes=30))]
)
FIRST, LAST = datetime(2, 1, 1), datetime(9998, 12, 31)
INSTANTS = st.datetimes(FIRST, LAST, timezones=ZONES) | st.just(
    datetime(2026, 1, 2, 0, 30, tzinfo=timezone(timedelta(hours=2)))
)
FREE = st.recursive(
    st.none() | st.booleans() | st.integers() | REALS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
TREES = st.recursive(
    st.builds(Tree, REALS), lambda inner: st.builds(Tree, REALS, st.lists(inner, max_size=2).map(tuple)), max_leaves=4
)
BOTH = st.builds(Yes, TEXT) | st.builds(No, TEXT)
DRAWN: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXT,
    "flag": st.booleans(),
    "number": NUMBERS,
    "real": REALS,
    "amount": AMOUNTS,
    "day": st.dates(),
    "at": INSTANTS,
    "id": st.uuids(),
    "word": st.sampled_from(["a", "b"]),
    "colour": st.sampled_from(Colour),
    "level": st.sampled_from(Level),
    "mixed": st.sampled_from(Mixed),
    "moments": st.lists(INSTANTS | st.datetimes(FIRST, LAST) | st.uuids(), max_size=3).map(tuple),
    "clock": st.times(timezones=st.none() | st.just(UTC)),
    "lasting": st.timedeltas(),
    "either": TEXT | st.integers() | st.none(),
    "maybe": AMOUNTS | st.none(),
    "choice": BOTH,
    "answers": st.lists(st.builds(Yes, TEXT) | TEXT | st.booleans(), max_size=3),
    "pairs": st.dictionaries(TEXT, NUMBERS, max_size=4),
    "days": st.dictionaries(st.dates(), st.tuples(NUMBERS, TEXT), max_size=3),
    "levels": st.dictionaries(st.sampled_from(Level), AMOUNTS, max_size=2),
    "free": FREE.filter(lambda value: value is not None),
    "point": st.builds(Point, NUMBERS, TEXT),
    "tree": TREES,
    "renamed": AMOUNTS.map(lambda amount: Renamed(**{"the amount": amount})),
}
VALUES: st.SearchStrategy[Values] = st.builds(Values, **DRAWN)
assert DRAWN.keys() == {field.name for field in fields(Values)}
