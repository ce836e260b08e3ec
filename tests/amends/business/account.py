"""An account is opened, and then money comes and goes; it is never overdrawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from domain.amends.aggregate import Aggregate
from domain.amends.errors import Refusal
from domain.amends.event import event


@dataclass(frozen=True)
class OpenAccount:
    account_id: str
    owner: str
    currency: str
    opening_balance: int


@event("account-opened")
class AccountOpened:
    account_id: str
    owner: str
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
    amount: int


@event("withdrawal-reversed")
class WithdrawalReversed:
    amount: int


AccountEvent = AccountOpened | MoneyDeposited | MoneyWithdrawn | DepositReversed | WithdrawalReversed


@dataclass(frozen=True)
class Account:
    account_id: str
    owner: str
    currency: str
    balance: int


class AccountExists(Refusal, name="account-is-open"):
    """There is an account {account_id} already."""

    account_id: str


class NoAccount(Refusal, name="account-is-missing"):
    """This account was never opened."""


class NotEnoughMoney(Refusal, name="too-little-money"):
    """Account {account_id} holds {balance}, which is less than {wanted}."""

    account_id: str
    balance: int
    wanted: int


def evolve(
    account: Account | None,
    event: AccountOpened | MoneyDeposited | MoneyWithdrawn | DepositReversed | WithdrawalReversed,
) -> Account | None:
    match event:
        case AccountOpened():
            return Account(event.account_id, event.owner, event.currency, event.opening_balance)
        case MoneyDeposited() | WithdrawalReversed():
            return account and replace(account, balance=account.balance + event.amount)
        case MoneyWithdrawn() | DepositReversed():
            return account and replace(account, balance=account.balance - event.amount)


def inverse(account: Account | None, event: AccountEvent) -> Sequence[AccountEvent] | None:
    """What takes one event back; money that came goes, if it is still there."""
    match event:
        case AccountOpened():
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
    if account is None:
        raise NoAccount
    return [MoneyDeposited(amount)]


def withdraw(account: Account | None, amount: int) -> Sequence[AccountEvent]:
    _require_money(account, amount)
    return [MoneyWithdrawn(amount)]


def _require_money(account: Account | None, amount: int) -> None:
    if account is None:
        raise NoAccount
    if account.balance < amount:
        raise NotEnoughMoney(account.account_id, account.balance, amount)
