"""The balances of all accounts, and how often and when money last came or went."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated

from domain.amends.projection import Projection, Recorded
from domain.amends.sensitive import PERSONAL
from domain.banking.account import (
    AccountEvent,
    AccountOpened,
    DepositReversed,
    MoneyDeposited,
    MoneyReceived,
    MoneyReturned,
    MoneySent,
    MoneyWithdrawn,
    WithdrawalReversed,
    accounts,
)


@dataclass(frozen=True)
class BalanceRow:
    """`balance` counts minor units of `currency`."""

    account_id: str
    owner: Annotated[str, PERSONAL]
    currency: str
    balance: int
    movements: int
    opened_at: datetime
    changed_at: datetime


def evolve(row: BalanceRow | None, recorded: Recorded[AccountEvent]) -> BalanceRow | None:
    event, at = recorded.event, recorded.at
    match event:
        case AccountOpened():
            return BalanceRow(event.account_id, event.owner, event.currency, event.opening_balance, 0, at, at)
        case MoneyDeposited() | MoneyReceived() | MoneyReturned() | WithdrawalReversed():
            change = event.amount
        case MoneyWithdrawn() | MoneySent() | DepositReversed():
            change = -event.amount
    if row is None:
        return None
    return replace(row, balance=row.balance + change, movements=row.movements + 1, changed_at=at)


account_balances = Projection(
    "account_balances",
    version=1,
    of=accounts,
    evolve=evolve,
    key="account_id",
    indexes=[("currency", "balance")],
)
