"""What is kept is what is stored: a value that would come back as another one is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    field_serializer,
)

from domain.amends.errors import Unstorable
from tests.amends.harness.values import VALUES, Level, Values
from tests.amends.workflows.values.test_types_of_values import Bare, Shade
from workflows.amends.saga import Call, Saga, step
from workflows.amends.simulation.simulation import Simulation
from workflows.amends.values.codec import (
    digest,
    exact_text,
    json_text,
    load_copy,
    load_exact_text,
    load_input,
    round_trip,
    stored_value,
)
from workflows.amends.values.jsonb_comparison import is_identical

LIMIT = 1_000_000


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (date, datetime(2026, 1, 2, tzinfo=UTC)),
        (int, 1.0),
        (float, 2**53 + 1),
        (float, float("inf")),
        (Decimal, Decimal("NaN")),
        (Bare, type("Special", (Bare,), {})(1)),
        (JsonValue, (1, 2)),
        (list[str], ("a",)),
        (str, "half \ud83d"),
        (str, "\0"),
        (datetime, datetime(1890, 1, 1, tzinfo=ZoneInfo("Europe/Amsterdam"))),
        (Annotated[str, AfterValidator(str.upper)], "small"),
    ],
    ids=str,
)
def test_a_value_that_would_come_back_as_another_one_is_not_kept(annotation: Any, value: Any) -> None:
    for way in (stored_value, round_trip, exact_text):
        with pytest.raises(Unstorable):
            way(value, annotation, "it", LIMIT)


class Rounded(BaseModel):
    model_config = ConfigDict(ser_json_temporal="milliseconds")
    at: datetime


class InUtc(BaseModel):
    at: datetime

    @field_serializer("at")
    def _at(self, at: datetime) -> datetime:
        return at.astimezone(UTC)


class Private(BaseModel):
    a: int
    _b: int = PrivateAttr(default=0)


@dataclass
class Careless:
    a: Annotated[str, AfterValidator(str.upper)]

    def __eq__(self, other: object) -> bool:
        return True


@dataclass
class Uncompared:
    a: Annotated[str, AfterValidator(str.upper)] = field(compare=False)


class Partly(BaseModel):
    a: int = 0


BERLIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1)))


def private() -> Private:
    made = Private(a=1)
    made._b = 2
    return made


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (Rounded(at=BERLIN), "at"),
        (InUtc(at=BERLIN), "at"),
        (private(), "_b"),
        (Careless("small"), "a"),
        (Uncompared("small"), "a"),
    ],
)
def test_what_calls_itself_equal_is_compared_by_its_parts(value: Any, path: str) -> None:
    for way in (stored_value, round_trip, exact_text):
        with pytest.raises(Unstorable) as refused:
            way([value], list[type(value)], "it", LIMIT)  # type: ignore[misc]
        assert way is exact_text or f" 0.{path} is of type" in str(refused.value)


def test_a_state_of_which_not_all_fields_were_set_is_not_kept_as_one_of_which_they_were() -> None:
    assert load_exact_text(exact_text(Partly(a=0), Partly, "it", LIMIT), Partly).model_fields_set == {"a"}
    with pytest.raises(Unstorable):
        exact_text(Partly(), Partly, "it", LIMIT)
    assert stored_value(Partly(), Partly, "it", LIMIT).value.model_fields_set == {"a"}


class Exacting(BaseModel):
    model_config = ConfigDict(strict=True)
    on: date
    price: Decimal
    both: tuple[UUID, Shade]


@dataclass
class PartlyExacting:
    on: Annotated[date, Field(strict=True)]
    several: list[Exacting]


def test_what_takes_only_its_own_types_comes_back() -> None:
    exacting = Exacting(on=date(2026, 1, 2), price=Decimal("1.10"), both=(UUID(int=1), Shade.DARK))
    value = PartlyExacting(date(2026, 1, 2), [exacting])
    for made in (
        stored_value(value, PartlyExacting, "it", LIMIT).value,
        round_trip(value, PartlyExacting, "it", LIMIT),
    ):
        assert is_identical(made, value)
    assert is_identical(load_copy(stored_value(value, PartlyExacting, "it", LIMIT).data, PartlyExacting), value)


class ByAlias(BaseModel):
    model_config = ConfigDict(serialize_by_alias=True)
    amount: int = Field(alias="the amount")


def test_a_field_is_kept_by_its_name_whatever_it_is_called_outside() -> None:
    value = ByAlias(**{"the amount": 1})
    assert stored_value(value, ByAlias, "it", LIMIT).data == {"amount": 1}
    assert exact_text(value, ByAlias, "it", LIMIT) == '{"amount":1}'
    assert round_trip(value, ByAlias, "it", LIMIT) == value


async def test_what_has_no_hash_may_be_said_about_a_type() -> None:
    annotation = Annotated[str, {"doc": "x"}]
    for _ in range(2):
        assert stored_value("a", annotation, "it", LIMIT).value == round_trip("a", annotation, "it", LIMIT) == "a"
        assert load_input("a", annotation) == "a"

    @dataclass(frozen=True)
    class Noting(Saga[str, str], name="kept-values-noting"):
        async def run(self, request: str) -> str:
            return await self.note(request)

        @step(compensation=None)
        async def note(self, call: Call, words: Annotated[str, {"doc": "x"}]) -> Annotated[str, ["y"]]:
            return words

    assert (await Simulation().run(Noting(), "a")).result == "a"


def test_what_is_lost_is_said_by_its_path_and_never_shown() -> None:
    with pytest.raises(Unstorable, match=r"0\.by is of type str and comes back as another one") as refused:
        stored_value([Upper("geheim")], list[Upper], "it", LIMIT)
    assert "geheim" not in str(refused.value)


@dataclass(frozen=True)
class Upper:
    by: Annotated[str, AfterValidator(str.upper)]


@pytest.mark.parametrize(
    ("annotation", "value", "back"),
    [
        (float, 1, 1.0),
        (int, True, 1),
        (int, Level.LOW, 1),
        (str, Shade.DARK.value, "dark"),
        (float, -0.0, 0.0),
        (float, 1e20, 1e20),
        (JsonValue, 1e20, 10**20),
        (JsonValue, {"bb": 1, "a": -0.0}, {"a": 0.0, "bb": 1}),
        (dict[str, int], {"bb": 1, "é": 2, "a": 3}, {"a": 3, "bb": 1, "é": 2}),
    ],
)
def test_a_value_is_at_once_what_it_will_be(annotation: Any, value: Any, back: Any) -> None:
    for found in (stored_value(value, annotation, "it", LIMIT).value, round_trip(value, annotation, "it", LIMIT)):
        assert is_identical(found, back)


@given(values=VALUES)
@settings(max_examples=60, deadline=None)
def test_a_value_that_was_kept_stays_what_it_is(values: Values) -> None:
    made = stored_value(values, Values, "it", LIMIT)
    assert is_identical(load_copy(made.data, Values), made.value)
    assert is_identical(load_exact_text(json_text(made.data), Values), made.value)
    assert is_identical(stored_value(made.value, Values, "it", LIMIT).value, made.value)
    assert is_identical(round_trip(values, Values, "it", LIMIT), made.value)
    assert digest(made.data) == digest(stored_value(made.value, Values, "it", LIMIT).data)
    assert is_identical(load_exact_text(exact_text(made.value, Values, "it", LIMIT), Values), made.value)


def test_an_offset_is_kept_and_the_name_of_a_zone_is_not() -> None:
    made = stored_value(datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Berlin")), datetime, "it", LIMIT).value
    assert made.utcoffset() == timedelta(hours=2)
    assert (made + timedelta(days=180)).utcoffset() == timedelta(hours=2)
