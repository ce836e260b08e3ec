"""Sagas whose class line, input, signals or children are wrong.

What is said of each, and by whom, stands in its docstring and at the end of its lines: see test_snippets.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from app.amends.http.requests.bodies import Body
from domain.amends.errors import Refusal
from domain.amends.sender import SENDER
from workflows.amends.saga import Call, Saga, seconds, signal, step


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


def no_name() -> None:
    """import: Buy: has no name: class …(Saga[In, Out], name="place-order", version=1)"""

    class Buy(Saga[Order, str]):
        async def run(self, order: Order) -> str:
            return order.id


def name_of_other_form() -> None:
    """import: Buy: name 'Buy_It' must be lower-case words joined by hyphens, such as 'place-order'"""

    class Buy(Saga[Order, str], name="Buy_It"):
        async def run(self, order: Order) -> str:
            return order.id


def version_0() -> None:
    """import: Buy: versions count from 1, not 0"""

    class Buy(Saga[Order, str], name="buy", version=0):
        async def run(self, order: Order) -> str:
            return order.id


def version_as_text() -> None:
    """import: Buy: versions count from 1, not '2'"""

    class Buy(Saga[Order, str], name="buy", version="2"):  # mypy: arg-type; pyright: reportArgumentType, reportGeneralTypeIssues
        async def run(self, order: Order) -> str:
            return order.id


def no_run() -> None:
    """import: Buy: has no run: add async def run(self, request: In) -> Out"""

    class Buy(Saga[Order, str], name="buy"):
        @step(compensation=None)
        async def charge(self, call: Call, order: Order) -> str:
            return ""


def sync_run() -> None:
    """import: Buy.run: must be an async function"""

    class Buy(Saga[Order, str], name="buy"):
        def run(self, order: Order) -> str:  # mypy: override; pyright: reportIncompatibleMethodOverride
            return order.id


def no_types_of_the_saga() -> None:
    """types: nothing else says it: what `run` says counts."""

    class Buy(Saga, name="buy"):  # mypy: type-arg
        async def run(self, order: Order) -> str:
            return order.id


def run_of_another_input() -> None:
    """import: Buy.run: takes str, and Saga[…, …] says Order: make them the same"""

    class Buy(Saga[Order, str], name="buy"):
        async def run(self, order: str) -> str:  # mypy: override; pyright: reportIncompatibleMethodOverride
            return order


def run_of_another_result() -> None:
    """import: Buy.run: returns int, and Saga[…, …] says str: make them the same"""

    class Buy(Saga[Order, str], name="buy"):
        async def run(self, order: Order) -> int:  # mypy: override; pyright: reportIncompatibleMethodOverride
            return order.amount


def run_without_input() -> None:
    """import: Buy.run: takes too few parameters: self, then its input"""

    class Buy(Saga[Order, str], name="buy"):
        async def run(self) -> str:  # mypy: override; pyright: reportIncompatibleMethodOverride
            return ""


def run_without_annotation() -> None:
    """import: Buy.run: parameter 'order' has no annotation"""

    class Buy(Saga[Order, str], name="buy"):
        async def run(self, order):  # mypy: no-untyped-def
            return order.id


def input_of_a_plain_class() -> None:
    """import: Buy.run, input 'card': does not survive JSON: tests.amends.typing.wrong_sagas.Card declares no fields;
    make it a dataclass
    """

    class Buy(Saga[Card, str], name="buy"):
        async def run(self, card: Card) -> str:
            return card.number


def input_of_any() -> None:
    """import: Buy.run, input 'order': does not survive JSON: it has no type that says what it holds; use a dataclass,
    or JsonValue of pydantic
    """

    class Buy(Saga[Any, str], name="buy"):
        async def run(self, order: Any) -> str:
            return ""


def input_of_dict() -> None:
    """import: Buy.run, input 'order': does not survive JSON: it has keys that do not come back from a text; use str"""

    class Buy(Saga[dict, str], name="buy"):  # mypy: type-arg
        async def run(self, order: dict) -> str:  # mypy: type-arg
            return ""


def deadline_as_a_number() -> None:
    """import: Buy, deadline=…: is a timedelta, such as seconds(5), not 3600"""

    class Buy(Base, name="buy", deadline=3600): ...  # mypy: arg-type; pyright: reportArgumentType, reportGeneralTypeIssues


def negative_deadline() -> None:
    """import: Buy, deadline=…: is more than 0 seconds, not -3600"""

    class Buy(Base, name="buy", deadline=timedelta(hours=-1)): ...


def unknown_option() -> None:
    """import: Buy: has no option timeout: there are name, version, signals, children and deadline"""

    class Buy(Base, name="buy", timeout=seconds(5)): ...


def signal_that_is_none() -> None:
    """import: Buy, signal Approval: is none: decorate its class with @signal(name)"""

    class Approval:
        approved: bool

    class Buy(Base, name="buy", signals=[Approval]): ...


def one_signal_without_brackets() -> None:
    """import: Buy, signals=…: is a list of classes: write it in brackets, also one"""

    @signal("approval")
    class Approval:
        approved: bool

    class Buy(Base, name="buy", signals=Approval): ...  # mypy: arg-type; pyright: reportArgumentType, reportGeneralTypeIssues


def signal_without_a_name() -> None:
    """import: signal: is given a name, lower-case words joined by hyphens: @signal('approval')"""

    @signal  # mypy: arg-type
    class Approval:
        approved: bool


def signal_of_a_plain_class() -> None:
    """import: Buy, signal 'approval': does not survive JSON: tests.amends.typing.wrong_sagas.Card declares no fields;
    make it a dataclass
    """

    @signal("approval")
    class Approval:
        card: Card

    class Buy(Base, name="buy", signals=[Approval]): ...


def child_that_is_no_saga() -> None:
    """import: Buy, child Order: is no saga: a subclass of Saga is"""

    class Buy(Base, name="buy", children=[Order]): ...  # mypy: list-item; pyright: reportArgumentType, reportGeneralTypeIssues


def one_child_without_brackets() -> None:
    """import: Buy, children=…: is a list of classes: write it in brackets, also one"""

    class Ship(Saga[Order, str], name="ship"):
        async def run(self, order: Order) -> str:
            return ""

    class Buy(Base, name="buy", children=Ship): ...  # mypy: arg-type; pyright: reportArgumentType, reportGeneralTypeIssues


def child_twice() -> None:
    """import: Buy: has two steps of the name 'ship'"""

    class Ship(Saga[Order, str], name="ship"):
        async def run(self, order: Order) -> str:
            return ""

    class Buy(Base, name="buy", children=[Ship, Ship]): ...


def refusal_without_a_name() -> None:
    """import: Declined: has no name: class Declined(Refusal, name="out-of-stock")"""

    class Declined(Refusal):
        """The card was declined: {why}."""

        why: str


def refusal_of_an_unknown_fact() -> None:
    """import: Declined: its docstring is its message, and names 'because', which is no field of it"""

    class Declined(Refusal, name="declined"):
        """The card was declined: {because}."""

        why: str


def refusal_of_a_wrong_name() -> None:
    """import: Declined: its name 'Card Declined' must be lower-case words joined by hyphens: class Declined(Refusal,
    name="out-of-stock")
    """

    class Declined(Refusal, name="Card Declined"):
        """The card was declined."""


def input_of_a_set() -> None:
    """import: Buy.run, input 'articles': does not survive JSON: it has no order; use tuple[…, ...]"""

    class Buy(Saga[set[str], str], name="buy"):
        async def run(self, articles: set[str]) -> str:
            return ""


@dataclass(frozen=True)
class Ask:
    what: str
    by: Annotated[str, SENDER]


@dataclass(frozen=True)
class Asked:
    first: Ask | None


def sender_within_an_input() -> None:
    """import: Buy.run, input 'asked', field 'first': marks SENDER within: only a field of the class that is sent is
    filled in
    """

    class Buy(Saga[Asked, str], name="buy"):
        async def run(self, asked: Asked) -> str:
            return ""


def sender_as_the_whole_input() -> None:
    """import: Buy.run, input 'by': marks SENDER within: only a field of the class that is sent is filled in"""

    class Buy(Saga[Annotated[str, SENDER], str], name="buy"):
        async def run(self, by: Annotated[str, SENDER]) -> str:
            return by


def sender_that_is_no_text() -> None:
    """import: Buy, signal 'yes', field 'by': is filled in with a name, so it is a text: Annotated[str, SENDER]"""

    @signal("yes")
    class Yes:
        by: Annotated[int, SENDER]

    class Buy(Base, name="buy", signals=[Yes]): ...


def sender_in_a_body() -> None:
    """import: Lending, field 'by': is not filled in, in the body of a route: ask cause_of(request).actor who sent it"""

    class Lending(Body):
        by: Annotated[str, SENDER]


def a_field_named_as_a_word() -> None:
    """import: Buy.now: hides what every saga has under that name: give it another one"""

    @dataclass(frozen=True)
    class Buy(Base, name="buy"):
        now: str  # mypy: assignment; pyright: reportIncompatibleMethodOverride


def no_dataclass() -> None:
    """types: the start of a service says: app/main.py, line 12: Buy() takes no arguments."""

    class Buy(Base, name="buy"):
        shop: str

    Buy("corner")  # mypy: call-arg; pyright: reportCallIssue
