"""Orders."""

from __future__ import annotations

import pytest

from domain.amends.errors import Invalid
from domain.money import Money
from domain.ordering import (
    Line,
    OrderCancelled,
    OrderClosed,
    OrderConfirmed,
    OrderPlaced,
    OrderRequest,
    cancel,
    confirm,
    orders,
    place,
)

REQUEST = OrderRequest("4711", "c-1", "EUR", (Line("apple", 2, 350), Line("pear", 1, 90)), "tok_ok", "12345")
PLACED = OrderPlaced("4711", "c-1", REQUEST.lines, Money(790, "EUR"))
CONFIRMED = OrderConfirmed("4711", "r-1", "p-1")
CANCELLED = OrderCancelled("4711", "changed my mind")


def test_an_order_costs_what_its_lines_cost() -> None:
    assert REQUEST.total == Money(790, "EUR")


def test_a_new_order_is_placed() -> None:
    assert place(None, REQUEST) == [PLACED]


def test_an_order_is_not_placed_twice() -> None:
    with pytest.raises(OrderClosed, match="Order 4711 is placed and cannot be placed again"):
        place(orders.fold([PLACED]), REQUEST)


def test_a_cancelled_order_may_be_placed_again() -> None:
    assert place(orders.fold([PLACED, CANCELLED]), REQUEST) == [PLACED]


def test_a_placed_order_is_confirmed_once() -> None:
    assert confirm(orders.fold([PLACED]), "r-1", "p-1") == [CONFIRMED]
    assert confirm(orders.fold([PLACED, CONFIRMED]), "r-1", "p-1") == []


def test_a_confirmed_order_is_not_confirmed_with_another_receipt() -> None:
    with pytest.raises(OrderClosed):
        confirm(orders.fold([PLACED, CONFIRMED]), "r-2", "p-1")


def test_an_order_is_cancelled_once() -> None:
    assert cancel(orders.fold([PLACED]), "changed my mind") == [CANCELLED]
    assert cancel(orders.fold([PLACED, CANCELLED]), "again") == []


def test_a_confirmed_order_is_not_cancelled() -> None:
    with pytest.raises(OrderClosed):
        cancel(orders.fold([PLACED, CONFIRMED]), "too late")


def test_what_never_was_is_neither_cancelled_nor_confirmed() -> None:
    with pytest.raises(OrderClosed):
        cancel(None, "why")
    with pytest.raises(OrderClosed):
        confirm(None, "r", "p")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("order_id", ""),
        ("order_id", "4711 ; drop"),
        ("currency", "euro"),
        ("lines", ()),
        ("customer_id", " "),
        ("payment_token", ""),
        ("postcode", ""),
    ],
)
def test_a_wrong_field_of_a_request_is_named(field: str, value: object) -> None:
    given = vars(REQUEST) | {field: value}
    with pytest.raises(Invalid) as raised:
        OrderRequest(**given)
    assert raised.value.field == field


@pytest.mark.parametrize(
    ("field", "value"), [("sku", " "), ("quantity", 0), ("quantity", 10**7), ("unit_price", -1), ("unit_price", 10**13)]
)
def test_a_wrong_field_of_a_line_is_named(field: str, value: object) -> None:
    given = {"sku": "apple", "quantity": 1, "unit_price": 5} | {field: value}
    with pytest.raises(Invalid) as raised:
        Line(**given)  # type: ignore[arg-type]
    assert raised.value.field == field
