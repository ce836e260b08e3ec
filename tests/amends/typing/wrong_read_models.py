"""Read models that are declared wrong.

What is said of each, and by whom, stands in its docstring and at the end of its lines: see test_snippets.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.amends.projection import Projection, Recorded
from tests.amends.business.account import MoneyWithdrawn
from tests.amends.business.order import OrderPlaced, orders


@dataclass(frozen=True)
class Row:
    order_id: str
    count: int


class Plain:
    """A class that is no dataclass."""

    order_id: str


@dataclass(frozen=True)
class Tagged:
    order_id: str
    tags: set[str]


@dataclass(frozen=True)
class Untyped:
    order_id: str
    more: dict[str, object]


@dataclass(frozen=True)
class Shouting:
    order_id: str
    COUNT: int


def evolve(row: Row | None, recorded: Recorded[OrderPlaced]) -> Row | None:
    return Row(recorded.key, 1)


def name_of_another_form() -> None:
    """import: projection 'order-board': a name is lower-case words joined by underscores, such as 'order_board'"""
    Projection("order-board", version=1, of=orders, evolve=evolve, key="order_id")


def version_0() -> None:
    """import: projection 'order_rows': versions count from 1, not 0"""
    Projection("order_rows", version=0, of=orders, evolve=evolve, key="order_id")


def of_a_name() -> None:
    """import: projection 'order_rows': of=… and also=[…] are aggregates themselves, not their names"""
    Projection("order_rows", version=1, of="order", evolve=evolve, key="order_id")  # mypy: arg-type; pyright: reportArgumentType


def key_that_is_no_field() -> None:
    """import: projection 'order_rows': its key 'id' must be a field of Row that is a str"""
    Projection("order_rows", version=1, of=orders, evolve=evolve, key="id")


def key_that_is_no_text() -> None:
    """import: projection 'order_rows': its key 'count' must be a field of Row that is a str"""
    Projection("order_rows", version=1, of=orders, evolve=evolve, key="count")


def unknown_mode() -> None:
    """import: projection 'order_rows': its mode is one of async, inline, live, not 'sync'"""
    Projection("order_rows", version=1, of=orders, evolve=evolve, key="order_id", mode="sync")  # mypy: arg-type; pyright: reportArgumentType


def index_of_no_field() -> None:
    """import: projection 'order_rows': an index names 'size', which is no field of Row"""
    Projection("order_rows", version=1, of=orders, evolve=evolve, key="order_id", indexes=[("size",)])


def index_as_a_text() -> None:
    """import: projection 'order_rows': an index is a tuple of fields, also of one: indexes=[('due',)]"""
    Projection("order_rows", version=1, of=orders, evolve=evolve, key="order_id", indexes=["count"])


def event_of_another_aggregate() -> None:
    """import: projection 'order_rows': reads MoneyWithdrawn, which is no event of order: name its aggregate"""

    def evolve(row: Row | None, recorded: Recorded[MoneyWithdrawn]) -> Row | None:
        return row

    Projection("order_rows", version=1, of=orders, evolve=evolve, key="order_id")


def evolve_of_no_event() -> None:
    """import: tests.amends.typing.wrong_read_models.Row: is not an event: decorate its class with @event(name,
    version)
    """

    def evolve(row: Row | None, recorded: Recorded[Row]) -> Row | None:
        return row

    Projection("order_rows", version=1, of=orders, evolve=evolve, key="order_id")


def evolve_of_a_bare_event() -> None:
    """import: projection 'order_rows': the second parameter of evolve is Recorded[…] of its events"""

    def evolve(row: Row | None, event: OrderPlaced) -> Row | None:
        return row

    Projection("order_rows", version=1, of=orders, evolve=evolve, key="order_id")  # mypy: arg-type; pyright: reportArgumentType


def evolve_without_a_first_row() -> None:
    """import: projection 'order_rows': evolve takes `Row | None` and returns it; Row is a dataclass"""

    def evolve(row: Row, recorded: Recorded[OrderPlaced]) -> Row:
        return row

    Projection("order_rows", version=1, of=orders, evolve=evolve, key="order_id")  # mypy: arg-type; pyright: reportArgumentType


def evolve_that_returns_nothing() -> None:
    """types: nothing else says it: every row would be removed."""

    def evolve(row: Row | None, recorded: Recorded[OrderPlaced]) -> Row | None:  # mypy: return
        Row(recorded.key, 1)

    Projection("order_rows", version=1, of=orders, evolve=evolve, key="order_id")


def row_of_a_plain_class() -> None:
    """import: projection 'order_rows': evolve takes `Row | None` and returns it; Row is a dataclass"""

    def evolve(row: Plain | None, recorded: Recorded[OrderPlaced]) -> Plain | None:
        return row

    Projection("order_rows", version=1, of=orders, evolve=evolve, key="order_id")


def row_with_a_set() -> None:
    """import: projection 'order_rows': tags has no order: use tuple[…, ...]"""

    def evolve(row: Tagged | None, recorded: Recorded[OrderPlaced]) -> Tagged | None:
        return row

    Projection("order_rows", version=1, of=orders, evolve=evolve, key="order_id")


def row_without_types() -> None:
    """import: projection 'order_rows': more has no type that says what it holds"""

    def evolve(row: Untyped | None, recorded: Recorded[OrderPlaced]) -> Untyped | None:
        return row

    Projection("order_rows", version=1, of=orders, evolve=evolve, key="order_id")


def row_with_a_column_of_another_form() -> None:
    """import: projection 'order_rows': 'COUNT' cannot be a column: lower-case words, at most 40 letters"""

    def evolve(row: Shouting | None, recorded: Recorded[OrderPlaced]) -> Shouting | None:
        return row

    Projection("order_rows", version=1, of=orders, evolve=evolve, key="order_id")


def row_of_a_field_that_is_missing() -> None:
    """types: Python says it too, where the read model is tested."""

    def evolve(row: Row | None, recorded: Recorded[OrderPlaced]) -> Row | None:
        return Row(recorded.key)  # mypy: call-arg; pyright: reportCallIssue

    Projection("order_rows", version=1, of=orders, evolve=evolve, key="order_id")


def event_by_a_wrong_field() -> None:
    """types: Python says it too, where the read model is tested."""

    def evolve(row: Row | None, recorded: Recorded[OrderPlaced]) -> Row | None:
        return Row(recorded.key, recorded.event.count)  # mypy: attr-defined; pyright: reportAttributeAccessIssue

    Projection("order_rows", version=1, of=orders, evolve=evolve, key="order_id")
