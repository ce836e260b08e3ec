"""What an order may hold: texts and amounts that its provider, its columns and its indexes take."""

from __future__ import annotations

from typing import Any

import pytest

from domain.amends.errors import Invalid
from domain.ordering import Line, OrderRequest

FINE: dict[str, Any] = {
    "order_id": "o-1",
    "customer_id": "c-1",
    "currency": "EUR",
    "lines": (Line("apple", 1, 100),),
    "payment_token": "tok_ok",
    "postcode": "12345",
}


@pytest.mark.parametrize("field", ["customer_id", "payment_token", "postcode"])
@pytest.mark.parametrize("text", ["", "  ", "x" * 201])
def test_a_text_has_its_length(field: str, text: str) -> None:
    with pytest.raises(Invalid, match=f"{field}: must have 1 to 200 characters"):
        OrderRequest(**FINE | {field: text})
    OrderRequest(**FINE | {field: "x" * 200})


@pytest.mark.parametrize("sku", ["", "x" * 201])
def test_an_article_has_a_name_of_its_length(sku: str) -> None:
    with pytest.raises(Invalid, match="sku"):
        Line(sku, 1, 1)


def test_an_order_costs_what_can_be_kept() -> None:
    most = Line("gold", 1000, 10**12)
    assert OrderRequest(**FINE | {"lines": (most,)}).total.amount == 10**15
    with pytest.raises(Invalid, match="lines: cost"):
        OrderRequest(**FINE | {"lines": (most, Line("paper", 1, 1))})


@pytest.mark.parametrize("count", [0, 1001])
def test_an_order_has_so_many_lines(count: int) -> None:
    with pytest.raises(Invalid, match="lines: must be 1 to 1000 lines"):
        OrderRequest(**FINE | {"lines": (Line("apple", 1, 1),) * count})
