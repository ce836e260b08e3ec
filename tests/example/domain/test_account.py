"""Accounts, in the words that users test with."""

from __future__ import annotations

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.amends.errors import Invalid
from domain.amends.testing import given
from domain.banking import (
    Account,
    AccountExists,
    AccountOpened,
    DepositReversed,
    MoneyDeposited,
    MoneyWithdrawn,
    NoAccount,
    NotEnoughMoney,
    OpenAccount,
    WithdrawalReversed,
    accounts,
    deposit,
    open_account,
    withdraw,
)
from domain.banking.account import MOST, AccountEvent, TooMuchMoney, inverse

REQUEST = OpenAccount("a-1", "Ann", "EUR", 100)
OPENED = AccountOpened("a-1", "Ann", "EUR", 100)


def test_an_account_is_opened_once() -> None:
    given(accounts).when(open_account, REQUEST).then(OPENED)
    given(accounts, OPENED).when(open_account, REQUEST).refused(AccountExists, account_id="a-1")


def test_money_comes_and_goes() -> None:
    given(accounts, OPENED).when(deposit, 50).then(MoneyDeposited(50))
    given(accounts, OPENED).when(withdraw, 100).then(MoneyWithdrawn(100))
    assert given(accounts, OPENED, MoneyDeposited(50), MoneyWithdrawn(30)).state == Account("a-1", "Ann", "EUR", 120)


def test_an_account_is_never_overdrawn() -> None:
    given(accounts, OPENED).when(withdraw, 101).refused(NotEnoughMoney, balance=100, wanted=101)


def test_an_account_never_holds_more_than_can_be_counted() -> None:
    given(accounts, OPENED).when(deposit, MOST).refused(TooMuchMoney)


def test_what_was_never_opened_takes_and_gives_nothing() -> None:
    given(accounts).when(deposit, 1).refused(NoAccount)
    given(accounts).when(withdraw, 1).refused(NoAccount)


@pytest.mark.parametrize("amount", [0, -1, MOST + 1])
def test_an_amount_that_is_none_is_named(amount: int) -> None:
    for decision in (deposit, withdraw):
        with pytest.raises(Invalid) as raised:
            given(accounts, OPENED).when(decision, amount)
        assert raised.value.field == "amount"


@pytest.mark.parametrize(
    ("field", "value"),
    [("account_id", ""), ("account_id", "a b"), ("owner", " "), ("currency", "euro"), ("opening_balance", -1)],
)
def test_a_wrong_field_is_named(field: str, value: object) -> None:
    with pytest.raises(Invalid) as raised:
        OpenAccount(**(vars(REQUEST) | {field: value}))
    assert raised.value.field == field


def test_what_was_decided_is_taken_back_by_its_inverse() -> None:
    given(accounts, OPENED, MoneyDeposited(5)).when(_undo, MoneyDeposited(5)).then(DepositReversed(5))
    given(accounts, OPENED, MoneyWithdrawn(5)).when(_undo, MoneyWithdrawn(5)).then(WithdrawalReversed(5))


def test_an_inverse_has_an_inverse() -> None:
    given(accounts, OPENED).when(_undo, DepositReversed(5)).then(MoneyDeposited(5))
    given(accounts, OPENED).when(_undo, WithdrawalReversed(5)).then(MoneyWithdrawn(5))


def test_money_that_is_gone_is_not_taken_back() -> None:
    spent = (OPENED, MoneyDeposited(50), MoneyWithdrawn(120))
    given(accounts, *spent).when(_undo, MoneyDeposited(50)).refused(NotEnoughMoney, balance=30, wanted=50)


def test_an_opening_is_never_taken_back() -> None:
    assert inverse(given(accounts, OPENED).state, OPENED) is None


@for_all(st.lists(st.integers(-200, 200).filter(bool), max_size=30))
def test_undoing_everything_in_reverse_gives_the_first_balance(amounts: list[int]) -> None:
    history: list[AccountEvent] = [OPENED]
    for amount in amounts:
        decided = given(accounts, *history).when(deposit if amount > 0 else withdraw, abs(amount))
        history += decided.events
    for event in reversed(history[1:]):
        history += given(accounts, *history).when(_undo, event).events
    assert accounts.fold(history) == Account("a-1", "Ann", "EUR", 100)


def _undo(account: Account | None, event: AccountEvent) -> list[AccountEvent]:
    return list(inverse(account, event) or [])
