"""The words that users test with fail when they should."""

from __future__ import annotations

import pytest

from domain.amends.errors import Invalid
from domain.amends.testing import given
from domain.banking import AccountOpened, MoneyDeposited, NoAccount, NotEnoughMoney, accounts, deposit, withdraw

OPENED = AccountOpened("a", "Ann", "EUR", 10)


def test_other_events_than_expected_fail() -> None:
    with pytest.raises(AssertionError, match=r"expected \[MoneyDeposited\(amount=6\)\]"):
        given(accounts, OPENED).when(deposit, 5).then(MoneyDeposited(6))


def test_a_refusal_where_events_were_expected_fails() -> None:
    with pytest.raises(AssertionError, match="it was refused"):
        given(accounts, OPENED).when(withdraw, 11).then()


def test_events_where_a_refusal_was_expected_fail() -> None:
    with pytest.raises(AssertionError, match="expected NotEnoughMoney, but it decided"):
        given(accounts, OPENED).when(withdraw, 10).refused(NotEnoughMoney)


def test_another_refusal_than_expected_fails() -> None:
    with pytest.raises(AssertionError, match="expected NoAccount, but got NotEnoughMoney"):
        given(accounts, OPENED).when(withdraw, 11).refused(NoAccount)


def test_other_facts_than_expected_fail() -> None:
    with pytest.raises(AssertionError, match="expected the facts"):
        given(accounts, OPENED).when(withdraw, 11).refused(NotEnoughMoney, wanted=12)


def test_a_bug_is_no_outcome() -> None:
    with pytest.raises(Invalid):
        given(accounts, OPENED).when(withdraw, -1)
