"""An account is opened, and then money comes and goes; it is never overdrawn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from domain.amends.aggregate import Aggregate
from domain.amends.errors import Invalid, Refusal
from domain.amends.event import event
from domain.amends.sensitive import PERSONAL
from domain.money import CURRENCY

ID = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._:-]{1,100}")
"""Not . and .., which no path can name."""
MOST = 10**15
"""Minor units; far above any account, and far below what a bigint or a JSON number in a browser holds."""


def _require_amount(field: str, amount: int, least: int) -> None:
    if not least <= amount <= MOST:
        raise Invalid(field, f"must be between {least} and 10^15 minor units, but is {amount}")


@dataclass(frozen=True)
class OpenAccount:
    """Who wants an account; amounts are in minor units of its currency."""

    account_id: str
    owner: Annotated[str, PERSONAL]
    currency: str
    opening_balance: int

    def __post_init__(self) -> None:
        if not ID.fullmatch(self.account_id):
            raise Invalid("account_id", "must be 1 to 100 letters, digits or . _ : -, and not . or ..")
        if not 1 <= len(self.owner.strip()) <= 200:
            raise Invalid("owner", "must have 1 to 200 characters")
        if not CURRENCY.fullmatch(self.currency):
            raise Invalid("currency", "must be a three-letter ISO 4217 code such as EUR")
        _require_amount("opening_balance", self.opening_balance, 0)


@event("account-opened")
class AccountOpened:
    account_id: str
    owner: Annotated[str, PERSONAL]
    currency: str
    opening_balance: int


@event("money-deposited")
class MoneyDeposited:
    amount: int


@event("money-withdrawn")
class MoneyWithdrawn:
    amount: int


@event("deposit-reversed")
class DepositReversed:
    """A deposit was taken back."""

    amount: int


@event("withdrawal-reversed")
class WithdrawalReversed:
    """A withdrawal was taken back."""

    amount: int


@event("money-sent")
class MoneySent:
    """Money left for another account; if it does not arrive there, it comes back."""

    transfer_id: str
    to_account: str
    amount: int


@event("money-received")
class MoneyReceived:
    transfer_id: str
    from_account: str
    amount: int


@event("money-returned")
class MoneyReturned:
    """What was sent did not arrive, and is back."""

    transfer_id: str
    amount: int
    reason: str


AccountEvent = (
    AccountOpened
    | MoneyDeposited
    | MoneyWithdrawn
    | DepositReversed
    | WithdrawalReversed
    | MoneySent
    | MoneyReceived
    | MoneyReturned
)


@dataclass(frozen=True)
class Account:
    """An account as it stands."""

    account_id: str
    owner: Annotated[str, PERSONAL]
    currency: str
    balance: int


class AccountExists(Refusal, name="account-exists"):
    """There is an account {account_id} already."""

    account_id: str


class NoAccount(Refusal, name="no-account"):
    """This account was never opened."""


class NotEnoughMoney(Refusal, name="not-enough-money"):
    """Account {account_id} holds {balance}, which is less than {wanted}."""

    account_id: str
    balance: int
    wanted: int


class TooMuchMoney(Refusal, name="too-much-money"):
    """Account {account_id} would hold more than 10^15 minor units."""

    account_id: str


class OtherCurrency(Refusal, name="other-currency"):
    """Account {account_id} holds {currency}, not {wanted}."""

    account_id: str
    currency: str
    wanted: str


def evolve(
    account: Account | None,
    event: AccountOpened
    | MoneyDeposited
    | MoneyWithdrawn
    | DepositReversed
    | WithdrawalReversed
    | MoneySent
    | MoneyReceived
    | MoneyReturned,
) -> Account | None:
    match event:
        case AccountOpened():
            return Account(event.account_id, event.owner, event.currency, event.opening_balance)
        case MoneyDeposited() | WithdrawalReversed() | MoneyReceived() | MoneyReturned():
            return account and replace(account, balance=account.balance + event.amount)
        case MoneyWithdrawn() | DepositReversed() | MoneySent():
            return account and replace(account, balance=account.balance - event.amount)


def inverse(account: Account | None, event: AccountEvent) -> Sequence[AccountEvent] | None:
    """What takes one event back: money that came goes, if it is still there, and money that went comes back."""
    match event:
        case AccountOpened() | MoneySent() | MoneyReceived() | MoneyReturned():
            return None
        case MoneyDeposited():
            _require_money(account, event.amount)
            return [DepositReversed(event.amount)]
        case MoneyWithdrawn():
            return [WithdrawalReversed(event.amount)]
        case DepositReversed():
            return deposit(account, event.amount)
        case WithdrawalReversed():
            return withdraw(account, event.amount)


accounts: Aggregate[Account | None, AccountEvent] = Aggregate("account", initial=None, evolve=evolve, inverse=inverse)


def open_account(account: Account | None, request: OpenAccount) -> Sequence[AccountEvent]:
    if account is not None:
        raise AccountExists(account.account_id)
    return [AccountOpened(request.account_id, request.owner, request.currency, request.opening_balance)]


def deposit(account: Account | None, amount: int) -> Sequence[AccountEvent]:
    _require_amount("amount", amount, 1)
    if account is None:
        raise NoAccount
    if account.balance + amount > MOST:
        raise TooMuchMoney(account.account_id)
    return [MoneyDeposited(amount)]


def withdraw(account: Account | None, amount: int) -> Sequence[AccountEvent]:
    _require_amount("amount", amount, 1)
    _require_money(account, amount)
    return [MoneyWithdrawn(amount)]


def send(
    account: Account | None, transfer_id: str, to_account: str, amount: int, currency: str
) -> Sequence[AccountEvent]:
    """Money leaves for another account."""
    _require_amount("amount", amount, 1)
    _require_currency(account, currency)
    _require_money(account, amount)
    return [MoneySent(transfer_id, to_account, amount)]


def receive(
    account: Account | None, transfer_id: str, from_account: str, amount: int, currency: str
) -> Sequence[AccountEvent]:
    """Money arrives from another account."""
    _require_currency(account, currency)
    if account is not None and account.balance + amount > MOST:
        raise TooMuchMoney(account.account_id)
    return [MoneyReceived(transfer_id, from_account, amount)]


def take_back(account: Account | None, transfer_id: str, amount: int, reason: str) -> Sequence[AccountEvent]:
    """Money that was sent comes back; that is never refused."""
    return [MoneyReturned(transfer_id, amount, reason)]


def _require_currency(account: Account | None, currency: str) -> None:
    if account is None:
        raise NoAccount
    if account.currency != currency:
        raise OtherCurrency(account.account_id, account.currency, currency)


def _require_money(account: Account | None, amount: int) -> None:
    if account is None:
        raise NoAccount
    if account.balance < amount:
        raise NotEnoughMoney(account.account_id, account.balance, amount)
