"""What is wrong with a saga's declaration is said when it is imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from domain.amends.errors import DefinitionError
from workflows.amends.saga import Call, Retry, Saga, Transaction, Undo, seconds, step, transaction
from workflows.place_order import PlaceOrder


class Opaque:
    """No fields: it does not survive JSON."""


def no_name() -> None:
    class Bad(Saga[str, str]):
        async def run(self, request: str) -> str:
            return request


def a_bad_name() -> None:
    class Bad(Saga[str, str], name="Place Order"):
        async def run(self, request: str) -> str:
            return request


def version_zero() -> None:
    class Bad(Saga[str, str], name="bad", version=0):
        async def run(self, request: str) -> str:
            return request


def no_compensation() -> None:
    class Bad(Saga[str, str], name="bad"):
        async def run(self, request: str) -> str:
            return request

        @step
        async def charge(self, call: Call) -> None: ...


def no_compensation_of_a_transaction() -> None:
    class Bad(Saga[str, str], name="bad"):
        async def run(self, request: str) -> str:
            return request

        @transaction
        async def write(self, tx: Transaction) -> None: ...


def excused_but_compensated() -> None:
    class Bad(Saga[str, str], name="bad"):
        async def run(self, request: str) -> str:
            return request

        @step(compensation=None)
        async def charge(self, call: Call) -> None: ...

        @charge.compensation
        async def refund(self, undo: Undo[None]) -> None: ...


def a_compensated_pivot() -> None:
    class Bad(Saga[str, str], name="bad"):
        async def run(self, request: str) -> str:
            return request

        @step(pivot=True)
        async def book(self, call: Call) -> None: ...

        @book.compensation
        async def unbook(self, undo: Undo[None]) -> None: ...


def two_pivots() -> None:
    class Bad(Saga[str, str], name="bad"):
        async def run(self, request: str) -> str:
            return request

        @step(pivot=True)
        async def book(self, call: Call) -> None: ...

        @transaction(pivot=True)
        async def note(self, tx: Transaction) -> None: ...


def two_compensations() -> None:
    class Bad(Saga[str, str], name="bad"):
        async def run(self, request: str) -> str:
            return request

        @step
        async def charge(self, call: Call) -> None: ...

        @charge.compensation
        async def refund(self, undo: Undo[None]) -> None: ...

        @charge.compensation
        async def repay(self, undo: Undo[None]) -> None: ...


def a_parameter_without_annotation() -> None:
    class Bad(Saga[str, str], name="bad"):
        async def run(self, request: str) -> str:
            return request

        @step(compensation=None)
        async def charge(self, call: Call, amount) -> None: ...  # type: ignore[no-untyped-def]


def a_result_without_annotation() -> None:
    class Bad(Saga[str, str], name="bad"):
        async def run(self, request: str) -> str:
            return request

        @step(compensation=None)
        async def charge(self, call: Call): ...  # type: ignore[no-untyped-def]


def a_parameter_that_is_lost_in_json() -> None:
    class Bad(Saga[str, str], name="bad"):
        async def run(self, request: str) -> str:
            return request

        @step(compensation=None)
        async def charge(self, call: Call, card: Opaque) -> None: ...


def a_result_that_is_lost_in_json() -> None:
    class Bad(Saga[str, str], name="bad"):
        async def run(self, request: str) -> str:
            return request

        @step(compensation=None)
        async def charge(self, call: Call) -> set[str]:
            return set()


def an_input_that_is_lost_in_json() -> None:
    class Bad(Saga[Any, str], name="bad"):
        async def run(self, request: Any) -> str:
            return ""


def a_step_that_is_not_async() -> None:
    class Bad(Saga[str, str], name="bad"):
        async def run(self, request: str) -> str:
            return request

        @step(compensation=None)  # type: ignore[arg-type]
        def charge(self, call: Call) -> None: ...


def a_step_without_call() -> None:
    class Bad(Saga[str, str], name="bad"):
        async def run(self, request: str) -> str:
            return request

        @step(compensation=None)  # type: ignore[arg-type]
        async def charge(self, amount: int) -> None: ...


def a_step_with_stars() -> None:
    class Bad(Saga[str, str], name="bad"):
        async def run(self, request: str) -> str:
            return request

        @step(compensation=None)
        async def charge(self, call: Call, *amounts: int) -> None: ...


def a_compensation_with_other_parameters() -> None:
    class Bad(Saga[str, str], name="bad"):
        async def run(self, request: str) -> str:
            return request

        @step
        async def charge(self, call: Call, amount: int) -> None: ...

        @charge.compensation  # type: ignore[arg-type]
        async def refund(self, undo: Undo[None], amount: str) -> None: ...


def a_compensation_of_another_result() -> None:
    class Bad(Saga[str, str], name="bad"):
        async def run(self, request: str) -> str:
            return request

        @step
        async def charge(self, call: Call) -> str:
            return ""

        @charge.compensation  # type: ignore[arg-type]
        async def refund(self, undo: Undo[int]) -> None: ...


def a_run_with_two_inputs() -> None:
    class Bad(Saga[str, str], name="bad"):
        async def run(self, request: str, more: str = "") -> str:
            return request


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (no_name, "has no name"),
        (a_bad_name, "lower-case words"),
        (version_zero, "versions count from 1"),
        (no_compensation, "Bad.charge: has no compensation: add @charge.compensation, or say compensation=None"),
        (no_compensation_of_a_transaction, "Bad.write: has no compensation"),
        (excused_but_compensated, "says compensation=None, but refund"),
        (a_compensated_pivot, "there is no way back"),
        (two_pivots, "has 2 pivots \\(book, note\\)"),
        (two_compensations, "has two compensations, refund and repay"),
        (a_parameter_without_annotation, "parameter 'amount' has no annotation"),
        (a_result_without_annotation, "its result has no annotation"),
        (a_parameter_that_is_lost_in_json, "Bad.charge, parameter 'card': does not survive JSON"),
        (a_result_that_is_lost_in_json, "Bad.charge, result: does not survive JSON"),
        (an_input_that_is_lost_in_json, "Bad.run, input 'request': does not survive JSON"),
        (a_step_that_is_not_async, "must be an async function"),
        (a_step_without_call, "must be annotated Call"),
        (a_step_with_stars, "must be an ordinary one"),
        (a_compensation_with_other_parameters, "must take what charge takes"),
        (a_compensation_of_another_result, "must be Undo of what charge returns"),
        (a_run_with_two_inputs, "takes one input"),
    ],
)
def test_a_misdeclared_saga_does_not_import(declare: Callable[[], None], says: str) -> None:
    with pytest.raises(DefinitionError, match=says):
        declare()


@pytest.mark.parametrize("name", ["definitions", "bulk", "causes"])
def test_a_saga_that_could_not_be_reached_does_not_import(name: str) -> None:
    with pytest.raises(DefinitionError, match=f"cannot be named '{name}': /workflows/{name} is another page"):

        class Bad(Saga[str, str], name=name):
            async def run(self, request: str) -> str:
                return request


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"backoff": 0.5}, {"first_wait": seconds(-1)}])
def test_a_retry_that_cannot_be_is_not_declared(wrong: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError):
        Retry(**wrong)


def test_waits_grow_to_a_limit() -> None:
    retry = Retry(attempts=9, first_wait=seconds(1), backoff=2, longest_wait=seconds(5))
    waits = [retry.wait_after(attempt).total_seconds() for attempt in (1, 2, 3, 4, 1000)]
    assert [round(wait) for wait in waits[:2]] == [1, 2]
    assert all(4.5 <= wait <= 5.5 for wait in waits[3:])


def test_a_definition_is_described_for_people() -> None:
    described = PlaceOrder.definition.describe()
    assert [described["name"], described["version"]] == ["place-order", 1]
    assert [(step["name"], step["kind"], step["pivot"], step["compensation"]) for step in described["steps"]] == [
        ("open_order", "transaction", False, "cancel_order"),
        ("hold_stock", "step", False, "release_stock"),
        ("charge_card", "step", False, "refund_card"),
        ("book_courier", "step", True, None),
        ("confirm_order", "transaction", False, None),
    ]
    assert described["input"]["required"] == [
        "order_id",
        "customer_id",
        "currency",
        "lines",
        "payment_token",
        "postcode",
    ]
