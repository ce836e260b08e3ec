"""Steps and transactions that are declared wrong.

What is said of each, and by whom, stands in its docstring and at the end of its lines: see test_snippets.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workflows.amends.saga import Call, Retry, Saga, Transaction, Undo, seconds, step, transaction


@dataclass(frozen=True)
class Order:
    id: str
    amount: int


class Card:
    """A plain class: nothing says what it consists of."""

    def __init__(self, number: str) -> None:
        self.number = number


class Base(Saga[Order, str], name="base"):
    async def run(self, order: Order) -> str:
        return order.id


def step_without_compensation() -> None:
    """import: Buy.charge: has no compensation: add @charge.compensation, or say compensation=None or pivot=True"""

    class Buy(Base, name="buy"):
        @step
        async def charge(self, call: Call, order: Order) -> str:
            return call.key


def step_called_with_parentheses() -> None:
    """import: Buy.charge: has no compensation: add @charge.compensation, or say compensation=None or pivot=True"""

    class Buy(Base, name="buy"):
        @step()
        async def charge(self, call: Call, order: Order) -> str:
            return ""


def compensation_as_argument() -> None:
    """import: @step(compensation=…): takes None alone: declare it below the step, as a function of its own under
    @<step>.compensation
    """

    class Buy(Base, name="buy"):
        async def refund(self, undo: Undo[str], order: Order) -> None: ...

        @step(compensation=refund)  # mypy: call-overload, untyped-decorator; pyright: reportArgumentType
        async def charge(self, call: Call, order: Order) -> str:
            return call.key


def two_pivots() -> None:
    """import: Buy: has 2 pivots (charge, ship): there is one point of no return"""

    class Buy(Base, name="buy"):
        @step(pivot=True)
        async def charge(self, call: Call, order: Order) -> str:
            return call.key

        @step(pivot=True)
        async def ship(self, call: Call, order: Order) -> str:
            return call.key


def step_without_call() -> None:
    """import: Buy.charge: 'order', its first parameter, must be annotated Call"""

    class Buy(Base, name="buy"):
        @step(compensation=None)  # mypy: arg-type; pyright: reportArgumentType
        async def charge(self, order: Order) -> str:
            return order.id


def step_with_call_last() -> None:
    """import: Buy.charge: 'order', its first parameter, must be annotated Call"""

    class Buy(Base, name="buy"):
        @step(compensation=None)  # mypy: arg-type; pyright: reportArgumentType
        async def charge(self, order: Order, call: Call) -> str:
            return order.id


def step_with_nothing() -> None:
    """import: Buy.charge: takes too few parameters: self, then call: Call"""

    class Buy(Base, name="buy"):
        @step(compensation=None)  # mypy: arg-type; pyright: reportArgumentType
        async def charge(self) -> str:
            return ""


def step_with_a_transaction() -> None:
    """import: Buy.charge: 'tx', its first parameter, must be annotated Call"""

    class Buy(Base, name="buy"):
        @step(compensation=None)  # mypy: arg-type; pyright: reportArgumentType
        async def charge(self, tx: Transaction, order: Order) -> str:
            return order.id


def transaction_with_a_call() -> None:
    """import: Buy.charge: 'call', its first parameter, must be annotated Transaction"""

    class Buy(Base, name="buy"):
        @transaction(compensation=None)  # mypy: arg-type; pyright: reportArgumentType
        async def charge(self, call: Call, order: Order) -> str:
            return order.id


def step_that_is_not_async() -> None:
    """import: Buy.charge: must be an async function"""

    class Buy(Base, name="buy"):
        @step(compensation=None)  # mypy: arg-type; pyright: reportArgumentType
        def charge(self, call: Call, order: Order) -> str:
            return order.id


def step_with_stars() -> None:
    """import: Buy.charge: parameter 'orders' must be an ordinary one, not * or **"""

    class Buy(Base, name="buy"):
        @step(compensation=None)
        async def charge(self, call: Call, *orders: Order) -> str:
            return ""


def step_with_a_keyword_only_parameter() -> None:
    """import: Buy.charge: parameter 'order' must be an ordinary one, not * or **"""

    class Buy(Base, name="buy"):
        @step(compensation=None)
        async def charge(self, call: Call, *, order: Order) -> str:
            return ""


def step_with_a_mutable_default() -> None:
    """import: Buy.charge, parameter 'articles': has the default [], which code may change: use None, or a tuple"""

    class Buy(Base, name="buy"):
        @step(compensation=None)
        async def charge(self, call: Call, articles: list[str] = []) -> str:
            return ""


def step_with_a_default_of_another_type() -> None:
    """import: Buy.charge, parameter 'amount': has the default None, which is not of its type"""

    class Buy(Base, name="buy"):
        @step(compensation=None)
        async def charge(self, call: Call, amount: int = None) -> str:  # mypy: assignment; pyright: reportArgumentType
            return ""


def step_without_annotation() -> None:
    """import: Buy.charge: parameter 'order' has no annotation"""

    class Buy(Base, name="buy"):
        @step(compensation=None)
        async def charge(self, call: Call, order) -> str:  # mypy: no-untyped-def
            return ""


def step_without_annotated_result() -> None:
    """import: Buy.charge: its result has no annotation"""

    class Buy(Base, name="buy"):
        @step(compensation=None)
        async def charge(self, call: Call, order: Order):  # mypy: no-untyped-def
            return ""


def step_of_a_plain_class() -> None:
    """import: Buy.charge, parameter 'card': does not survive JSON: tests.amends.typing.wrong_steps.Card declares no
    fields; make it a dataclass
    """

    class Buy(Base, name="buy"):
        @step(compensation=None)
        async def charge(self, call: Call, card: Card) -> str:
            return ""


def step_returning_any() -> None:
    """import: Buy.charge, result: does not survive JSON: it has no type that says what it holds; use a dataclass, or
    JsonValue of pydantic
    """

    class Buy(Base, name="buy"):
        @step(compensation=None)
        async def charge(self, call: Call, order: Order) -> dict[str, Any]:
            return {}


def step_of_an_undefined_type() -> None:
    """import: Buy.charge: has an annotation that is not defined: name 'Ordr' is not defined: import it, not for type
    checkers alone, or define it at the top of the file, in no function
    """

    class Buy(Base, name="buy"):
        @step(compensation=None)
        async def charge(self, call: Call, order: Ordr) -> str:  # mypy: name-defined; pyright: reportUndefinedVariable
            return ""


def two_steps_of_one_name() -> None:
    """types: nothing else says it: the second one counts."""

    class Buy(Base, name="buy"):
        @step(compensation=None)
        async def charge(self, call: Call, order: Order) -> str:  # pyright: reportRedeclaration
            return ""

        @step(compensation=None)  # mypy: no-redef
        async def charge(self, call: Call, order: Order) -> str:
            return ""


def a_step_named_as_a_word() -> None:
    """import: Buy.sleep: hides what every saga has under that name: give it another one"""

    class Buy(Base, name="buy"):
        @step(compensation=None)
        async def sleep(self, call: Call, order: Order) -> str:  # mypy: override; pyright: reportIncompatibleMethodOverride
            return ""


def retry_of_0_attempts() -> None:
    """import: Retry(attempts=0): is a number, 1 at least"""

    class Buy(Base, name="buy"):
        @step(compensation=None, retry=Retry(attempts=0))
        async def charge(self, call: Call, order: Order) -> str:
            return ""


def retry_as_a_number() -> None:
    """import: step charge, retry=…: is a Retry, such as Retry(attempts=5), not 5"""

    class Buy(Base, name="buy"):
        @step(compensation=None, retry=5)  # mypy: call-overload, untyped-decorator; pyright: reportArgumentType
        async def charge(self, call: Call, order: Order) -> str:
            return ""


def retry_with_a_number_of_seconds() -> None:
    """import: Retry(first_wait=…): is a timedelta, such as seconds(5), not 2"""

    class Buy(Base, name="buy"):
        @step(compensation=None, retry=Retry(first_wait=2))  # mypy: arg-type; pyright: reportArgumentType
        async def charge(self, call: Call, order: Order) -> str:
            return ""


def negative_timeout() -> None:
    """import: step charge, timeout=…: is more than 0 seconds, not -1"""

    class Buy(Base, name="buy"):
        @step(compensation=None, timeout=seconds(-1))
        async def charge(self, call: Call, order: Order) -> str:
            return ""


def timeout_as_a_number() -> None:
    """import: step charge, timeout=…: is a timedelta, such as seconds(5), not 5"""

    class Buy(Base, name="buy"):
        @step(compensation=None, timeout=5)  # mypy: call-overload, untyped-decorator; pyright: reportArgumentType
        async def charge(self, call: Call, order: Order) -> str:
            return ""


def retry_of_a_transaction() -> None:
    """import: TypeError: transaction() got an unexpected keyword argument 'retry'"""

    class Buy(Base, name="buy"):
        @transaction(compensation=None, retry=Retry())  # mypy: call-overload, untyped-decorator; pyright: reportCallIssue
        async def charge(self, tx: Transaction, order: Order) -> str:
            return ""


def step_with_an_argument_that_is_no_option() -> None:
    """import: step charge: is declared above an async function, and given what it takes by name, not 'charge'"""

    class Buy(Base, name="buy"):
        @step("charge")  # mypy: call-overload, untyped-decorator; pyright: reportArgumentType, reportCallIssue
        async def charge(self, call: Call, order: Order) -> str:
            return ""
