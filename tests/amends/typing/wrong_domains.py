"""Events, aggregates and decisions that are declared wrong.

What is said of each, and by whom, stands in its docstring and at the end of its lines: see test_snippets.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.amends.aggregate import Aggregate
from domain.amends.event import event, upcasts
from domain.amends.testing import given


@event("placed")
class Placed:
    amount: int


@event("shipped")
class Shipped:
    pass


@event("paid")
class Paid:
    pass


@dataclass(frozen=True)
class Note:
    text: str


@dataclass(frozen=True)
class Order:
    amount: int = 0


def evolve(order: Order, event: Placed | Shipped) -> Order:
    match event:
        case Placed(amount):
            return Order(amount)
        case Shipped():
            return order


orders: Aggregate[Order, Placed | Shipped] = Aggregate("order", Order(), evolve)


def event_without_a_name() -> None:
    """import: event Refunded: is given a name to be stored by: @event('order-placed')"""

    @event  # mypy: arg-type
    class Refunded:
        amount: int


def event_of_another_form() -> None:
    """import: event 'OrderRefunded': a name is lower-case words joined by hyphens, such as 'order-placed'"""

    @event("OrderRefunded")
    class Refunded:
        amount: int


def event_version_0() -> None:
    """import: event 'refunded': versions count from 1, not 0"""

    @event("refunded", version=0)
    class Refunded:
        amount: int


def event_version_as_text() -> None:
    """import: event 'refunded': versions count from 1, not '2'"""

    @event("refunded", version="2")  # mypy: arg-type; pyright: reportArgumentType
    class Refunded:
        amount: int


def event_with_a_mutable_default() -> None:
    """import: event 'refunded': mutable default <class 'list'> for field articles is not allowed: use default_factory"""

    @event("refunded")
    class Refunded:
        articles: list[str] = []


def event_without_what_it_needs() -> None:
    """types: Python says it too, where the event is made."""
    Placed("5")  # mypy: arg-type; pyright: reportArgumentType


def event_that_is_changed() -> None:
    """types: Python says it too, where the event is changed."""
    Placed(5).amount = 6  # mypy: misc; pyright: reportAttributeAccessIssue


def aggregate_of_another_form() -> None:
    """import: aggregate 'Order_1': a category is lower-case words joined by hyphens"""
    Aggregate("Order_1", Order(), evolve)


def aggregate_without_a_state() -> None:
    """import: aggregate 'order': its initial state is None, and evolve returns Order"""
    Aggregate("order", None, evolve)  # mypy: misc; pyright: reportArgumentType


def aggregate_with_the_class_of_its_state() -> None:
    """import: aggregate 'order': its initial state is <class 'tests.amends.typing.wrong_domains.Order'>, and evolve
    returns Order
    """
    Aggregate("order", Order, evolve)  # mypy: arg-type; pyright: reportArgumentType


def evolve_without_annotations() -> None:
    """import: aggregate 'order', evolve: takes (state, event) and annotates both and its result"""

    def evolve(order, event):  # mypy: no-untyped-def
        return order

    Aggregate("order", Order(), evolve)


def evolve_in_the_other_order() -> None:
    """import: tests.amends.typing.wrong_domains.Order: is not an event: decorate its class with @event(name, version)"""

    def evolve(event: Placed, order: Order) -> Order:
        return order

    Aggregate("order", Order(), evolve)  # mypy: arg-type; pyright: reportArgumentType


def evolve_of_what_is_no_event() -> None:
    """import: tests.amends.typing.wrong_domains.Note: is not an event: decorate its class with @event(name, version)"""

    def evolve(order: Order, event: Placed | Note) -> Order:
        return order

    Aggregate("order", Order(), evolve)


def evolve_that_misses_an_event() -> None:
    """types: nothing else says it before such an event is folded."""

    def evolve(order: Order, event: Placed | Shipped) -> Order:  # mypy: return; pyright: reportReturnType
        match event:
            case Placed(amount):
                return Order(amount)

    Aggregate("order", Order(), evolve)


def evolve_that_returns_none() -> None:
    """import: aggregate 'order', evolve: returns the state after the event, and is annotated with None"""

    def evolve(order: Order, event: Placed) -> None:
        Order(event.amount)

    Aggregate("order", Order(), evolve)  # mypy: arg-type; pyright: reportArgumentType


def evolve_that_is_async() -> None:
    """import: aggregate 'order', evolve: is a plain function, not an async one"""

    async def evolve(order: Order, event: Placed) -> Order:
        return order

    Aggregate("order", Order(), evolve)  # mypy: arg-type; pyright: reportArgumentType


def decision_of_what_is_no_event() -> None:
    """test: aggregate 'order': its evolve does not take Note"""

    def note(order: Order) -> list[Note]:
        return [Note("done")]

    given(orders).when(note)  # mypy: arg-type; pyright: reportArgumentType


def decision_of_another_aggregates_event() -> None:
    """test: aggregate 'order': its evolve does not take Paid"""

    def pay(order: Order) -> list[Paid]:
        return [Paid()]

    given(orders).when(pay)  # mypy: arg-type; pyright: reportArgumentType


def decision_of_one_event() -> None:
    """test: aggregate 'order': a decision returns a list of events, also of one or none, not Shipped"""

    def ship(order: Order) -> Shipped:
        return Shipped()

    given(orders).when(ship)  # mypy: arg-type; pyright: reportArgumentType


def decision_that_returns_nothing() -> None:
    """test: aggregate 'order': a decision returns a list of events, also of one or none, not NoneType"""

    def ship(order: Order) -> None:
        Shipped()

    given(orders).when(ship)  # mypy: arg-type; pyright: reportArgumentType


def decision_of_another_state() -> None:
    """types: nothing else says it."""

    def ship(order: Note) -> list[Shipped]:
        return [Shipped()]

    given(orders).when(ship)  # mypy: arg-type; pyright: reportArgumentType


def decision_with_an_argument_too_few() -> None:
    """types: Python says it too, where it is tested."""

    def ship(order: Order, to: str) -> list[Shipped]:
        return [Shipped()]

    given(orders).when(ship)  # mypy: call-arg; pyright: reportCallIssue


def expected_event_of_another_aggregate() -> None:
    """types: the test that expects it fails."""

    def ship(order: Order) -> list[Shipped]:
        return [Shipped()]

    given(orders).when(ship).then(Paid())  # mypy: arg-type; pyright: reportArgumentType


def upcaster_of_what_is_no_event() -> None:
    """import: tests.amends.typing.wrong_domains.Note: is not an event: decorate its class with @event(name, version)"""

    @upcasts(Note, 1)
    def add(data: dict[str, object]) -> dict[str, object]:
        return data


def upcaster_of_the_present_version() -> None:
    """import: upcaster of placed version 1: is not of an older version: Placed is placed version 1"""

    @upcasts(Placed, 1)
    def add(data: dict[str, object]) -> dict[str, object]:
        return data
