"""Calls in `run`, in steps and in tests that do not fit what is declared.

What is said of each, and by whom, stands in its docstring and at the end of its lines: see test_snippets.py.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tests.amends.business.order import Order as Placed
from tests.amends.business.order import OrderPlaced, orders
from workflows.amends.saga import Call, Saga, Transaction, Undo, signal, step, transaction
from workflows.amends.simulation import Simulation


@dataclass(frozen=True)
class Order:
    id: str
    amount: int


def place(order: Placed | None, id: str) -> list[OrderPlaced]:
    return [] if order else [OrderPlaced(id)]


@signal("approval")
class Approval:
    approved: bool


@signal("complaint")
class Complaint:
    text: str


class Ship(Saga[str, str], name="ship"):
    async def run(self, address: str) -> str:
        return address


class Base(Saga[Order, str], name="base", signals=[Approval], children=[Ship]):
    async def run(self, order: Order) -> str:
        return order.id

    @step(compensation=None)
    async def charge(self, call: Call, order: Order, amount: int) -> str:
        return order.id

    @step(compensation=None)
    async def pack(self, call: Call, order: Order) -> None: ...

    @transaction(compensation=None)
    async def note(self, tx: Transaction, order: Order) -> None: ...


class Other(Saga[Order, str], name="other"):
    async def run(self, order: Order) -> str:
        return order.id

    @step(compensation=None)
    async def weigh(self, call: Call, order: Order) -> str:
        return ""


ORDER = Order("1", 5)


def an_argument_of_another_type() -> Saga[Order, str]:
    """run: This cannot be stored: what charge is called with is not what its annotation says: expected int, not str"""

    class Buy(Base, name="buy"):
        async def run(self, order: Order) -> str:
            return await self.charge(order, "5")  # mypy: arg-type; pyright: reportArgumentType

    return Buy()


def an_argument_too_few() -> Saga[Order, str]:
    """run: charge: missing a required argument: 'amount'; it takes order, amount"""

    class Buy(Base, name="buy"):
        async def run(self, order: Order) -> str:
            return await self.charge(order)  # mypy: call-arg; pyright: reportCallIssue

    return Buy()


def an_argument_by_a_wrong_name() -> Saga[Order, str]:
    """run: charge: missing a required argument: 'amount'; it takes order, amount"""

    class Buy(Base, name="buy"):
        async def run(self, order: Order) -> str:
            return await self.charge(order, price=5)  # mypy: call-arg; pyright: reportCallIssue

    return Buy()


def a_call_that_is_handed_over() -> Saga[Order, str]:
    """run: charge: too many positional arguments; it takes order, amount"""

    class Buy(Base, name="buy"):
        async def run(self, order: Order) -> str:
            return await self.charge(Call("key"), order, 5)  # mypy: arg-type, call-arg; pyright: reportCallIssue

    return Buy()


def a_step_that_is_not_awaited() -> Saga[Order, str]:
    """run: pack: was called, but never awaited, so it was not done: write await"""

    class Buy(Base, name="buy"):
        async def run(self, order: Order) -> str:
            self.pack(order)  # mypy: unused-awaitable
            return order.id

    return Buy()


def a_result_that_is_not_awaited() -> Saga[Order, str]:
    """run: charge: was called, but never awaited, so it was not done: write await"""

    class Buy(Base, name="buy"):
        async def run(self, order: Order) -> str:
            return self.charge(order, 5)  # mypy: return-value; pyright: reportReturnType

    return Buy()


def a_gather_of_what_was_awaited() -> Saga[Order, str]:
    """run: gather: takes calls of steps, such as self.book(request) without its own await, not '1'; a longer branch is
    a child saga
    """

    class Buy(Base, name="buy"):
        async def run(self, order: Order) -> str:
            one, _ = await self.gather(await self.charge(order, 5), self.pack(order))  # mypy: call-overload; pyright: reportArgumentType, reportCallIssue
            return one  # mypy: no-any-return

    return Buy()


def a_gather_that_is_not_awaited() -> Saga[Order, str]:
    """run: TypeError('cannot unpack non-iterable GatherCall object')"""

    class Buy(Base, name="buy"):
        async def run(self, order: Order) -> str:
            one, _ = self.gather(self.charge(order, 5), self.pack(order))  # mypy: misc; pyright: reportGeneralTypeIssues
            return one  # mypy: has-type, no-any-return

    return Buy()


def a_gather_of_a_list() -> Saga[Order, str]:
    """run: gather: takes calls of steps, such as self.book(request) without its own await, not them in a list: write
    gather(*calls); a longer branch is a child saga
    """

    class Buy(Base, name="buy"):
        async def run(self, order: Order) -> str:
            await self.gather([self.charge(order, 5), self.charge(order, 6)])  # mypy: call-overload; pyright: reportArgumentType
            return order.id

    return Buy()


def a_gather_of_asyncio() -> Saga[Order, str]:
    """run: charge: was awaited in a task or thread that is not run's own (create_task, asyncio.gather, a TaskGroup,
    wait_for, to_thread). Steps side by side are await self.gather(self.a(…), self.b(…)), a longer branch is a child
    saga, a limit of time is @step(timeout=…) or receive(timeout=…)
    """

    class Buy(Base, name="buy"):
        async def run(self, order: Order) -> str:
            await asyncio.gather(self.charge(order, 5), self.pack(order))
            return order.id

    return Buy()


def a_step_of_another_saga() -> Saga[Order, str]:
    """run: weigh: is a step of another saga than the one that runs: start that one with await self.child(Other,
    request)
    """

    class Buy(Base, name="buy"):
        async def run(self, order: Order) -> str:
            return await Other().weigh(order)

    return Buy()


def a_compensation_that_is_called() -> Saga[Order, str]:
    """run: TypeError("'Compensation' object is not callable")"""

    class Buy(Base, name="buy"):
        async def run(self, order: Order) -> str:
            await self.unpack(order)  # mypy: operator; pyright: reportCallIssue
            return order.id

        @step
        async def wrap(self, call: Call, order: Order) -> None: ...

        @wrap.compensation
        async def unpack(self, undo: Undo[None], order: Order) -> None: ...

    return Buy()


def a_step_in_a_step() -> Saga[Order, str]:
    """run: a bug in outer: charge: was called inside outer: a step does one thing and calls no other; call both from
    run
    """

    class Buy(Base, name="buy"):
        async def run(self, order: Order) -> str:
            return await self.outer(order)

        @step(compensation=None)
        async def outer(self, call: Call, order: Order) -> str:
            return await self.charge(order, 5)

    return Buy()


def a_signal_that_is_not_declared() -> Saga[Order, str]:
    """run: receive(Complaint): is none of the signals that buy declares: signals=…"""

    class Buy(Base, name="buy"):
        async def run(self, order: Order) -> str:
            await self.receive(Complaint)
            return order.id

    return Buy()


def a_signal_by_its_name() -> Saga[Order, str]:
    """run: receive('approval'): is none of the signals that buy declares: signals=…"""

    class Buy(Base, name="buy", signals=[Approval]):
        async def run(self, order: Order) -> str:
            await self.receive("approval")  # mypy: arg-type; pyright: reportArgumentType
            return order.id

    return Buy()


def a_signal_that_may_not_have_come() -> None:
    """types: nothing else says it before the time is over."""

    class Buy(Base, name="buy", signals=[Approval]):
        async def run(self, order: Order) -> str:
            approval = await self.receive(Approval)
            return "yes" if approval.approved else "no"  # mypy: union-attr; pyright: reportOptionalMemberAccess


def a_patience_as_a_number() -> Saga[Order, str]:
    """run: receive(timeout=…): takes a timedelta, such as seconds(5), not 60"""

    class Buy(Base, name="buy", signals=[Approval]):
        async def run(self, order: Order) -> str:
            await self.receive(Approval, timeout=60)  # mypy: arg-type; pyright: reportArgumentType
            return order.id

    return Buy()


def a_sleep_of_a_number() -> Saga[Order, str]:
    """run: sleep: takes a timedelta, such as seconds(5), not 60"""

    class Buy(Base, name="buy"):
        async def run(self, order: Order) -> str:
            await self.sleep(60)  # mypy: arg-type; pyright: reportArgumentType
            return order.id

    return Buy()


def a_child_of_a_wrong_input() -> Saga[Order, str]:
    """run: This cannot be stored: what ship is called with is not what its annotation says: expected str, not Order"""

    class Buy(Base, name="buy", children=[Ship]):
        async def run(self, order: Order) -> str:
            return await self.child(Ship, order)  # mypy: misc; pyright: reportArgumentType

    return Buy()


def a_child_that_is_not_declared() -> Saga[Order, str]:
    """run: child(other): is none of the sagas that buy declares: children=…"""

    class Buy(Base, name="buy"):
        async def run(self, order: Order) -> str:
            return await self.child(Other, order)

    return Buy()


def a_child_that_is_called_as_a_function() -> Saga[Order, str]:
    """run: child: takes the class Ship itself: an object of it is in sagas=[…]"""

    class Buy(Base, name="buy", children=[Ship]):
        async def run(self, order: Order) -> str:
            return await self.child(Ship(), order.id)  # mypy: arg-type; pyright: reportArgumentType

    return Buy()


def a_decision_with_a_wrong_argument() -> Saga[Order, str]:
    """run: open failed, and did nothing: This cannot be stored: event order-placed is not what its annotation says:
    order_id: expected str, not Order
    """

    class Buy(Base, name="buy"):
        async def run(self, order: Order) -> str:
            await self.open(order)
            return order.id

        @transaction(compensation=None)
        async def open(self, tx: Transaction, order: Order) -> None:
            await tx.decide(orders, order.id, place, order)  # mypy: arg-type; pyright: reportArgumentType

    return Buy()


def a_decision_that_is_not_awaited() -> Saga[Order, str]:
    """run: open failed, and did nothing: tx.decide: was called, but never awaited, so it was not done: write await"""

    class Buy(Base, name="buy"):
        async def run(self, order: Order) -> str:
            await self.open(order)
            return order.id

        @transaction(compensation=None)
        async def open(self, tx: Transaction, order: Order) -> None:
            tx.decide(orders, order.id, place, order.id)  # mypy: unused-awaitable

    return Buy()


def events_without_a_stream() -> Saga[Order, str]:
    """run: open failed, and did nothing: tx.append: takes the name of a stream, then events, not Approval"""

    class Buy(Base, name="buy"):
        async def run(self, order: Order) -> str:
            await self.open(order)
            return order.id

        @transaction(compensation=None)
        async def open(self, tx: Transaction, order: Order) -> None:
            tx.append(Approval(True))  # mypy: arg-type; pyright: reportArgumentType

    return Buy()


def a_result_of_another_type() -> Saga[Order, str]:
    """run: This cannot be stored: the result of buy:1 is not what its annotation says: expected str, not int"""

    class Buy(Base, name="buy"):
        async def run(self, order: Order) -> str:
            return order.amount  # mypy: return-value; pyright: reportReturnType

    return Buy()


def a_test_with_a_wrong_input() -> None:
    """types: the simulation says it too, as the API does."""
    asyncio.run(Simulation().run(Base(), "1"))  # mypy: arg-type; pyright: reportArgumentType


def a_test_that_awaits_nothing() -> None:
    """types: Python warns that a coroutine was never awaited."""
    Simulation().run(Base(), ORDER)  # mypy: unused-coroutine; pyright: reportUnusedCoroutine
