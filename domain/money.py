"""An amount of money: whole minor units (cents) of one currency."""

from __future__ import annotations

import re
from dataclasses import dataclass

from domain.amends.errors import Invalid

CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True)
class Money:
    """`amount` counts minor units: Money(1250, "EUR") is 12.50 euro."""

    amount: int
    currency: str

    def __post_init__(self) -> None:
        if not CURRENCY.fullmatch(self.currency):
            raise Invalid("currency", "must be a three-letter ISO 4217 code such as EUR")
        if self.amount < 0:
            raise Invalid("amount", f"must not be negative, but is {self.amount}")

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"
