"""Compensations that do not fit their steps.

What is said of each, and by whom, stands in its docstring and at the end of its lines: see test_snippets.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from workflows.amends.saga import Call, Saga, Transaction, Undo, seconds, step, transaction


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


def compensation_after_none() -> None:
    """import: Buy.charge: says compensation=None, but refund is declared as its compensation"""

    class Buy(Base, name="buy"):
        @step(compensation=None)
        async def charge(self, call: Call, order: Order) -> str:
            return call.key

        @charge.compensation
        async def refund(self, undo: Undo[str], order: Order) -> None: ...


def compensation_twice() -> None:
    """import: step charge: has two compensations, refund and repay"""

    class Buy(Base, name="buy"):
        @step
        async def charge(self, call: Call, order: Order) -> str:
            return call.key

        @charge.compensation
        async def refund(self, undo: Undo[str], order: Order) -> None: ...

        @charge.compensation
        async def repay(self, undo: Undo[str], order: Order) -> None: ...


def compensation_of_a_wrong_input() -> None:
    """import: Buy.refund: must take what charge takes, by the same names and types: order"""

    class Buy(Base, name="buy"):
        @step
        async def charge(self, call: Call, order: Order) -> str:
            return call.key

        @charge.compensation  # mypy: arg-type; pyright: reportArgumentType
        async def refund(self, undo: Undo[str], order: str) -> None: ...


def compensation_of_a_wrong_result() -> None:
    """import: Buy.refund: 'undo' must be Undo of what charge returns"""

    class Buy(Base, name="buy"):
        @step
        async def charge(self, call: Call, order: Order) -> str:
            return call.key

        @charge.compensation  # mypy: arg-type; pyright: reportArgumentType
        async def refund(self, undo: Undo[int], order: Order) -> None: ...


def compensation_with_a_call() -> None:
    """import: Buy.refund: 'call', its first parameter, must be annotated Undo[…]"""

    class Buy(Base, name="buy"):
        @step
        async def charge(self, call: Call, order: Order) -> str:
            return call.key

        @charge.compensation  # mypy: arg-type; pyright: reportArgumentType
        async def refund(self, call: Call, order: Order) -> None: ...


def compensation_by_another_name_of_a_parameter() -> None:
    """import: Buy.refund: must take what charge takes, by the same names and types: order"""

    class Buy(Base, name="buy"):
        @step
        async def charge(self, call: Call, order: Order) -> str:
            return call.key

        @charge.compensation  # mypy: arg-type; pyright: reportArgumentType
        async def refund(self, undo: Undo[str], request: Order) -> None: ...


def compensation_that_is_not_async() -> None:
    """import: Buy.refund: must be an async function"""

    class Buy(Base, name="buy"):
        @step
        async def charge(self, call: Call, order: Order) -> str:
            return call.key

        @charge.compensation  # mypy: arg-type; pyright: reportArgumentType
        def refund(self, undo: Undo[str], order: Order) -> None: ...


def compensation_of_the_pivot() -> None:
    """import: Buy.charge: is the pivot: there is no way back from it, so it has no compensation"""

    class Buy(Base, name="buy"):
        @step(pivot=True)
        async def charge(self, call: Call, order: Order) -> str:
            return call.key

        @charge.compensation
        async def refund(self, undo: Undo[str], order: Order) -> None: ...


def compensation_without_its_step() -> None:
    """import: Buy.charge: has no compensation: add @charge.compensation, or say compensation=None or pivot=True"""

    class Buy(Base, name="buy"):
        @step
        async def charge(self, call: Call, order: Order) -> str:
            return ""

        async def refund(self, undo: Undo[str], order: Order) -> None: ...


def compensation_of_the_steps_name() -> None:
    """import: Buy.charge: has the name of its step, or of another one: give it a name of its own"""

    class Buy(Base, name="buy"):
        @step
        async def charge(self, call: Call, order: Order) -> str:  # pyright: reportRedeclaration
            return call.key

        @charge.compensation  # mypy: no-redef
        async def charge(self, undo: Undo[str], order: Order) -> None: ...


def compensation_that_takes_less() -> None:
    """import: Buy.refund: must take what charge takes, by the same names and types: order"""

    class Buy(Base, name="buy"):
        @step
        async def charge(self, call: Call, order: Order) -> str:
            return call.key

        @charge.compensation  # mypy: arg-type; pyright: reportArgumentType
        async def refund(self, undo: Undo[str]) -> None: ...


def compensation_of_a_transaction_with_an_undo() -> None:
    """import: Buy.strike: 'undo', its first parameter, must be annotated Transaction"""

    class Buy(Base, name="buy"):
        @transaction
        async def note(self, tx: Transaction, order: Order) -> None: ...

        @note.compensation  # mypy: arg-type; pyright: reportArgumentType
        async def strike(self, undo: Undo[None], order: Order) -> None: ...


def compensation_with_a_negative_timeout() -> None:
    """import: compensation refund, timeout=…: is more than 0 seconds, not -5"""

    class Buy(Base, name="buy"):
        @step
        async def charge(self, call: Call, order: Order) -> str:
            return call.key

        @charge.compensation(timeout=seconds(-5))
        async def refund(self, undo: Undo[str], order: Order) -> None: ...


def compensation_without_annotations() -> None:
    """import: Buy.refund: parameter 'undo' has no annotation"""

    class Buy(Base, name="buy"):
        @step
        async def charge(self, call: Call, order: Order) -> str:
            return call.key

        @charge.compensation
        async def refund(self, undo, order): ...  # mypy: no-untyped-def


def compensation_that_takes_the_answer_for_known() -> None:
    """types: nothing else says it before an outcome is unknown."""

    class Buy(Base, name="buy"):
        @step
        async def charge(self, call: Call, order: Order) -> str:
            return call.key

        @charge.compensation
        async def refund(self, undo: Undo[str], order: Order) -> None:
            print(undo.outcome.value)  # mypy: union-attr; pyright: reportAttributeAccessIssue
