"""Placing an order: on every path, and with a crash around every commit of every path."""

from __future__ import annotations

from typing import Any

import pytest

from domain.ordering import orders
from tests.example.workflows.fakes import FakeProvider, place_order, request
from workflows.amends.history import SagaState
from workflows.amends.simulation.simulation import Simulation, SimulationResult

PATHS: dict[str, dict[str, str]] = {
    "happy": {},
    "declined": {"token": "tok_declined"},
    "out of stock": {"sku": "OUT-OF-STOCK"},
    "no courier": {"postcode": "00000"},
}


async def play(
    path: dict[str, str], at: int = 0, landed: bool = False
) -> tuple[SimulationResult, FakeProvider, Simulation]:
    simulation, provider = Simulation(), FakeProvider()
    if at:
        simulation.crash(at, landed)
    return await simulation.run(place_order(provider), request(**path)), provider, simulation


def states(state: SagaState) -> dict[str, str]:
    return {step.name: step.status for step in state.steps}


async def test_an_order_that_can_be_fulfilled_is_confirmed() -> None:
    played, provider, simulation = await play({})
    assert played.state.status == "completed"
    assert played.result == {"order_id": "4711", "receipt_id": "charge", "parcel_id": "book"}
    assert provider.net == ["book", "charge", "hold"]
    assert [type(event).__name__ for event in simulation.events(orders, "4711")] == ["OrderPlaced", "OrderConfirmed"]


async def test_a_declined_card_releases_the_stock() -> None:
    played, provider, simulation = await play(PATHS["declined"])
    assert played.state.status == "compensated"
    assert states(played.state) == {
        "open_order": "compensated",
        "hold_stock": "compensated",
        "charge_card": "refused",
    }
    assert provider.net == []
    assert provider.calls == ["hold", "charge", "release"]
    assert [type(event).__name__ for event in simulation.events(orders, "4711")] == ["OrderPlaced", "OrderCancelled"]


async def test_a_missing_courier_undoes_everything_in_reverse_order() -> None:
    played, provider, _ = await play(PATHS["no courier"])
    assert played.state.status == "compensated"
    assert provider.calls == ["hold", "charge", "book", "refund", "release"]
    assert provider.net == []


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())
@pytest.mark.parametrize("landed", [False, True], ids=["before", "after"])
async def test_a_crash_around_any_commit_changes_nothing(path: dict[str, str], landed: bool) -> None:
    undisturbed, provider, simulation = await play(path)
    commits = simulation.commits
    assert commits >= 5
    for at in range(1, commits + 1):
        crashed, same, other = await play(path, at, landed)
        assert crashed.executions == 2, f"the crash at commit {at} did not happen"
        assert told(other) == told(simulation), f"crash at commit {at}"
        assert other.events(orders, "4711") == simulation.events(orders, "4711")
        assert same.net == provider.net
        assert crashed.result == undisturbed.result


def told(simulation: Simulation) -> list[Any]:
    """The story without what a clock puts into it."""
    return [
        {name: value for name, value in vars(event).items() if name not in ("started_at", "next_at")}
        for _, event in simulation.history()
    ]
