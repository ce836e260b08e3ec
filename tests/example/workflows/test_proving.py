"""The read models that ship are the same however their events come in batches; one that cheats is found out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.amends.errors import DefinitionError, Unstorable
from domain.amends.projection import Projection, Recorded
from domain.amends.testing import recorded_events
from domain.banking import AccountOpened, MoneyDeposited, MoneySent, accounts
from domain.banking.account_balances import account_balances
from domain.money import Money
from domain.ordering import Line, orders
from domain.ordering.order import OrderCancelled, OrderConfirmed, OrderPlaced
from domain.ordering.order_board import order_board
from workflows.amends.history import (
    Problem,
    SagaCompensated,
    SagaCompensating,
    SagaCompleted,
    SagaStarted,
    SagaWaiting,
    StepCompensated,
    StepCompleted,
    StepRefused,
    WaitEnded,
)
from workflows.amends.history.overview import workflow_overview
from workflows.amends.simulation.batch_invariance import require_batch_invariance

AT = datetime(2026, 1, 1, tzinfo=UTC)
STEP = ("charge", 1, "step", 1, "digest", AT)


def _order(id: str) -> list[Any]:
    return [OrderPlaced(id, "c", (Line("apple", 2, 350),), Money(700, "EUR")), OrderCancelled(id, "no")] * 2 + [
        OrderConfirmed(id, "r", "p")
    ]


def _account(id: str) -> list[Any]:
    return [AccountOpened(id, "Ann", "EUR", 5), MoneyDeposited(2), MoneySent("t", "b", 1)]


def _saga(id: str) -> list[Any]:
    return [
        SagaStarted("pay", 1, "ref", id, {}),
        SagaWaiting(1, "approval", None),
        WaitEnded(1, "approval", "signal"),
        StepCompleted(*STEP, 1, None),
        StepRefused(*STEP, 1, Problem("declined", "The card was declined.")),
        SagaCompensating("declined"),
        StepCompensated("charge", 1, "refund", 2, 1),
        SagaCompensated("declined"),
    ]


HISTORIES = [
    (order_board, "order", _order),
    (account_balances, "account", _account),
    (workflow_overview, "saga", _saga),
]


@pytest.mark.parametrize(("projection", "category", "state"), HISTORIES, ids=lambda each: getattr(each, "name", ""))
@settings(deadline=None)
@given(data=st.data())
def test_batches_of_any_size_give_the_same_rows(
    projection: Any, category: str, state: Any, data: st.DataObject
) -> None:
    streams = [
        recorded_events(f"{category}-{id}", *state(id)) for id in data.draw(st.sets(st.sampled_from("abc"), min_size=1))
    ]
    history: list[Recorded[Any]] = []
    while any(streams):  # as the feed has it: each stream in its own order
        history.append(data.draw(st.sampled_from([stream for stream in streams if stream])).pop(0))
    require_batch_invariance(projection, history, data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=5)))


def test_a_board_shows_what_became_of_an_order() -> None:
    rows = order_board(recorded_events("order-1", *_order("1")))
    assert (rows["1"].status, rows["1"].total, rows["1"].articles, rows["1"].receipt_id) == ("confirmed", 700, 2, "r")


def test_an_overview_shows_what_went_wrong() -> None:
    (row,) = workflow_overview(recorded_events("saga-s-1", *_saga("s-1"))).values()
    assert (row.id, row.outcome, row.duration_seconds, row.compensation) == ("s-1", "compensated", 7.0, "done")
    assert (row.failing_step, row.failing_error) == ("charge", "The card was declined.")
    undone = [*_saga("s-1")[:4], SagaCompleted(None), *_saga("s-1")[5:]]
    (row,) = workflow_overview(recorded_events("saga-s-1", *undone)).values()
    assert row.outcome == "compensated", "a child that was called back is not completed any more"


@dataclass(frozen=True)
class Counted:
    id: str
    count: int


def test_one_that_keeps_something_elsewhere_is_found_out() -> None:
    seen: list[str] = []

    def evolve(row: Counted | None, told: Recorded[MoneyDeposited]) -> Counted | None:
        seen.append(told.stream)
        return Counted(told.key, len(seen))

    cheating = Projection("counted", version=1, of=accounts, evolve=evolve, key="id")
    history: Sequence[Recorded[MoneyDeposited]] = recorded_events("account-a", *[MoneyDeposited(1)] * 4)
    with pytest.raises(AssertionError, match="after 2 events"):
        require_batch_invariance(cheating, history, [2])


@dataclass(frozen=True)
class Loose:
    id: str
    note: tuple[str, ...]


@dataclass(frozen=True)
class Untyped:
    id: str
    note: dict[str, list[Any]]


@dataclass(frozen=True)
class Either:
    id: str
    at: date | datetime


def test_one_whose_rows_do_not_survive_a_table_is_found_out() -> None:
    def evolve(row: Loose | None, told: Recorded[OrderCancelled]) -> Loose | None:
        return Loose(told.key, ["a", "list"])  # type: ignore[arg-type]

    loose = Projection("loose", version=1, of=orders, evolve=evolve, key="id")
    history: Sequence[Recorded[OrderCancelled]] = [
        *recorded_events("order-1", OrderCancelled("1", "x")),
        *recorded_events("order-2", OrderCancelled("2", "x")),
    ]
    with pytest.raises(Unstorable, match="a row of loose is not what its annotation says"):
        require_batch_invariance(loose, history, [1])

    def untyped(row: Untyped | None, told: Recorded[OrderCancelled]) -> Untyped | None:
        return Untyped(told.key, {"a": [("a", "tuple")]})

    with pytest.raises(DefinitionError, match="note has no type that says what it holds"):
        Projection("untyped", version=1, of=orders, evolve=untyped, key="id")

    def either(row: Either | None, told: Recorded[OrderCancelled]) -> Either | None:
        return Either(told.key, AT)

    with pytest.raises(DefinitionError, match="at is date or datetime, and one can be read as the other"):
        require_batch_invariance(Projection("either", version=1, of=orders, evolve=either, key="id"), history[:1], [1])
