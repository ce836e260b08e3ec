"""Banking: accounts that hold money."""

from domain.banking.account import (
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

__all__ = [
    "Account",
    "AccountExists",
    "AccountOpened",
    "DepositReversed",
    "MoneyDeposited",
    "MoneyWithdrawn",
    "NoAccount",
    "NotEnoughMoney",
    "OpenAccount",
    "WithdrawalReversed",
    "accounts",
    "deposit",
    "open_account",
    "withdraw",
]
