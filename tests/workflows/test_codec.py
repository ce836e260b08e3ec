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

from domain.errors import Invalid
from domain.money import Money
from domain.ordering import Line, OrderRequest
from workflows.codec import SHOWN, digest, dump, load, plain, problems, read, text
from workflows.place_order import CardDeclined
from workflows.problem import error_text, problem_in, problem_of, refusal_of

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
    assert load(plain(text(dump(value, Everything))), Everything) == value


def test_a_value_of_another_type_is_not_stored() -> None:
    with pytest.raises(PydanticSerializationError):
        dump("no receipt", Money)


def test_a_request_is_read() -> None:
    assert read(GIVEN, OrderRequest).lines == (Line("apple", 1, 5),)


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
        read(GIVEN | change, OrderRequest)
    assert raised.value.field == field


def test_a_missing_field_is_named() -> None:
    with pytest.raises(Invalid) as raised:
        read({name: value for name, value in GIVEN.items() if name != "postcode"}, OrderRequest)
    assert raised.value.field == "postcode"


def test_of_very_many_wrong_fields_the_first_hundred_are_told() -> None:
    with pytest.raises(Invalid) as caught:
        read(GIVEN | {"lines": [1] * 1000} | {"more": 1}, OrderRequest)
    assert isinstance(caught.value.__cause__, ValidationError)
    told = problems(caught.value.__cause__)
    assert [each.field for each in told] == [f"lines.{number}" for number in range(SHOWN)]
    assert {each.problem for each in told} == {caught.value.problem} == {"Input should be an object"}


def test_something_else_than_an_object_is_refused() -> None:
    with pytest.raises(Invalid):
        read("hello", OrderRequest)


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [{"c": 1, "d": 2}]}) == digest({"b": [{"d": 2, "c": 1}], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_a_refusal_comes_back_as_the_same_refusal() -> None:
    stored = error_text(problem_of(CardDeclined("too old")))
    refusal = refusal_of(problem_in(stored))
    assert isinstance(refusal, CardDeclined)
    assert refusal.reason == "too old"
    assert plain(stored)["message"] == "The card was declined: too old."
