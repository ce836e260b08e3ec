"""A transfer moves money from one account to another."""

from __future__ import annotations

from dataclasses import dataclass

from domain.amends.errors import Invalid
from domain.banking.account import ID, MOST
from domain.money import CURRENCY


@dataclass(frozen=True)
class TransferRequest:
    """What is to be moved; the amount is in minor units."""

    transfer_id: str
    from_account: str
    to_account: str
    amount: int
    currency: str

    def __post_init__(self) -> None:
        for field in ("transfer_id", "from_account", "to_account"):
            if not ID.fullmatch(getattr(self, field)):
                raise Invalid(field, "must be 1 to 100 letters, digits or . _ : -")
        if self.from_account == self.to_account:
            raise Invalid("to_account", "must be another one than from_account")
        if not 1 <= self.amount <= MOST:
            raise Invalid("amount", f"must be between 1 and 10^15 minor units, but is {self.amount}")
        if not CURRENCY.fullmatch(self.currency):
            raise Invalid("currency", "must be a three-letter ISO 4217 code such as EUR")
