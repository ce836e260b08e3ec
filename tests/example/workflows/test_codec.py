"""Values to JSON and back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from domain.amends.errors import Invalid, Unstorable
from domain.money import Money
from domain.ordering import Line, OrderRequest
from workflows.amends.history.problem import load_refusal, portable_error, problem_of, stored_problem
from workflows.amends.values.codec import (
    SHOWN,
    digest,
    dump,
    exact_text,
    json_schema,
    json_text,
    load,
    load_input,
    parse_json,
    require_exact,
    round_trip,
    stored_value,
    wrong_fields,
)
from workflows.place_order import CardDeclined

GIVEN = {
    "order_id": "4711",
    "customer_id": "c",
    "currency": "EUR",
    "lines": [{"sku": "apple", "quantity": 1, "unit_price": 5}],
    "payment_token": "tok",
    "postcode": "1",
}


@dataclass(frozen=True)
class Everything:
    at: datetime
    id: UUID
    price: Decimal
    money: Money | None
    pairs: dict[str, tuple[int, ...]]


def test_values_come_back_as_they_went() -> None:
    value = Everything(
        datetime(2026, 1, 2, 3, 4, 5, 6, UTC), UUID(int=7), Decimal("1.10"), Money(1, "EUR"), {"a": (1, 2)}
    )
    assert load(parse_json(json_text(dump(value, Everything))), Everything) == value


def test_a_value_of_another_type_is_not_stored() -> None:
    with pytest.raises(PydanticSerializationError):
        dump("no receipt", Money)


def test_a_request_is_read() -> None:
    assert load_input(GIVEN, OrderRequest).lines == (Line("apple", 1, 5),)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"order_id": 4711}, "order_id"),
        ({"lines": []}, "lines"),
        ({"lines": [{"sku": "a", "quantity": "1", "unit_price": 5}]}, "lines.0.quantity"),
        ({"lines": [{"sku": "a", "quantity": 1, "unit_price": -5}]}, "lines.0.unit_price"),
        ({"lines": [{"sku": "a", "quantity": 1.5, "unit_price": 5}]}, "lines.0.quantity"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_field_is_named_by_its_path(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as raised:
        load_input(GIVEN | change, OrderRequest)
    assert raised.value.field == field


@dataclass(frozen=True)
class Priced:
    price: Decimal | None
    more: tuple[Decimal | bool, ...] = ()
    real: float = 0.0


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        ('{"price": 90071992547409.93}', "price", 'written as a text, such as "1.10"'),
        ('{"price": 1.10}', "price", "written as a text"),
        ('{"price": 1e5}', "price", "written as a text"),
        ('{"price": "1", "more": [true, 1.5]}', "more.1.decimal", "written as a text"),
        ('{"price": 1e400}', "body", "too large"),
        ('{"price": "1", "real": 1e400}', "body", "too large"),
        ('{"price": "1E+50000000"}', "price", "more digits than can be stored"),
        ('{"price": "1E+131072"}', "price", "more digits"),
        ('{"price": "1E-16384"}', "price", "more digits"),
        ('{"price": "0E+999999999"}', "price", "more digits"),
        ('{"price": "NaN"}', "price", "finite"),
    ],
)
def test_a_number_whose_digits_would_be_lost_is_not_taken(given: str, field: str, says: str) -> None:
    with pytest.raises(Invalid) as raised:
        load_input(parse_json(given), Priced)
    assert raised.value.field == field
    assert says in raised.value.problem


@pytest.mark.parametrize("given", ["90071992547409.93", "1.10", "-0", "1E+131071", "1E-16383", f"{'9' * 131_072}.5"])
def test_a_decimal_that_is_written_as_a_text_is_read_exactly(given: str) -> None:
    assert str(load_input({"price": given}, Priced).price) == str(Decimal(given))
    assert stored_value(Priced(Decimal(given)), Priced, "it", 1_000_000).value == Priced(Decimal(given))


def test_a_whole_number_is_a_decimal() -> None:
    said = json_schema(Decimal)["anyOf"]
    assert [each["type"] for each in said] == ["integer", "string"]
    assert load_input({"price": 2**70}, Priced) == Priced(Decimal(2**70))


@pytest.mark.parametrize("given", ["1E+50000000", "1E+131072", "1E-16384", "0E+999999999", f"0.{'1' * 16_384}"])
def test_a_decimal_of_more_digits_than_postgres_has_is_not_kept(given: str) -> None:
    value = {"a": [Priced(None, (True, Decimal(given)))]}
    for way in (stored_value, round_trip, exact_text):
        with pytest.raises(Unstorable, match="more digits than can be stored"):
            way(value, dict[str, list[Priced]], "it", 1_000_000)


def test_a_result_that_a_person_gives_is_exact() -> None:
    require_exact({"price": "1.10"}, Priced)
    with pytest.raises(ValidationError, match="written as a text"):
        require_exact({"price": 1.10}, Priced)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(Invalid) as raised:
        load_input({name: value for name, value in GIVEN.items() if name != "postcode"}, OrderRequest)
    assert raised.value.field == "postcode"


def test_of_very_many_wrong_fields_the_first_hundred_are_told() -> None:
    with pytest.raises(Invalid) as caught:
        load_input(GIVEN | {"lines": [1] * 1000} | {"more": 1}, OrderRequest)
    assert isinstance(caught.value.__cause__, ValidationError)
    told = wrong_fields(caught.value.__cause__)
    assert [each.field for each in told] == [f"lines.{number}" for number in range(SHOWN)]
    assert {each.problem for each in told} == {caught.value.problem} == {"Input should be an object"}


def test_something_else_than_an_object_is_refused() -> None:
    with pytest.raises(Invalid):
        load_input("hello", OrderRequest)


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [{"c": 1, "d": 2}]}) == digest({"b": [{"d": 2, "c": 1}], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_a_refusal_comes_back_as_the_same_refusal() -> None:
    stored = portable_error(problem_of(CardDeclined("too old")))
    refusal = load_refusal(stored_problem(stored))
    assert isinstance(refusal, CardDeclined)
    assert refusal.reason == "too old"
    assert parse_json(stored)["message"] == "The card was declined: too old."
