"""Rows as their table gives them back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from domain.amends.read_model.rows import as_stored_row

COLUMNS = [("amount", "numeric"), ("several", "jsonb")]


@dataclass(frozen=True)
class Row:
    amount: Decimal
    several: tuple[Decimal, ...] = ()


def test_a_number_has_no_exponent_in_a_column_and_in_a_part_of_one() -> None:
    kept = as_stored_row(Row(Decimal("1E+5"), (Decimal("1E+5"), Decimal("-0"), Decimal("1.10"))), COLUMNS)
    assert str(kept) == str(Row(Decimal("100000"), (Decimal("100000"), Decimal("0"), Decimal("1.10"))))


@pytest.mark.parametrize("amount", ["1E+50000000", "1E+131072", "1E-16384", "0E+999999999"])
def test_a_number_of_more_digits_than_numeric_has_is_no_row(amount: str) -> None:
    fine = Row(Decimal(1))
    for row in (replace(fine, amount=Decimal(amount)), replace(fine, several=(Decimal(amount),))):
        with pytest.raises(ValueError, match="more digits"):
            as_stored_row(row, COLUMNS)
