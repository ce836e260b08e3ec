"""A saga at a brake: wherever it comes to one, and wherever its executor dies, everything is done once."""

from __future__ import annotations

import pytest

from tests.example.workflows.fakes import FakeProvider, place_order, request
from workflows.amends.brakes.brake import BrakeScope
from workflows.amends.history import CompensationBraked, StepBraked
from workflows.amends.saga import seconds
from workflows.amends.simulation.simulation import ID, Simulation

DONE = ["book", "charge", "hold"]
STEPS = ("open_order", "hold_stock", "charge_card", "book_courier", "confirm_order")
UNDOES = ("cancel_order", "release_stock", "refund_card")


def told(simulation: Simulation, kind: type) -> list[object]:
    return [event for _, event in simulation.history() if isinstance(event, kind)]


@pytest.mark.parametrize("step", STEPS)
async def test_a_step_waits_at_a_brake_and_goes_on_when_it_is_lifted(step: str) -> None:
    simulation, provider = Simulation(), FakeProvider()
    brake = simulation.hold(BrakeScope("place-order", 1, step))
    await simulation.run(place_order(provider), request())
    row = simulation.store.rows[ID]
    assert (row.status, row.brake) == ("running", brake)
    held = STEPS.index(step)
    assert [each.name for each in simulation.state().steps] == list(STEPS[: held + 1])
    assert len(provider.calls) == max(0, min(held, 4) - 1), "what it holds is not called"
    simulation.lift(brake)
    played = await simulation.run(place_order(provider), request())
    assert played.state.status == "completed"
    assert provider.net == DONE
    assert len(told(simulation, StepBraked)) == 1


@pytest.mark.parametrize("at", range(1, 6))
@pytest.mark.parametrize("dies", range(1, 9))
@pytest.mark.parametrize("landed", [False, True])
async def test_wherever_a_brake_is_set_and_an_executor_dies_everything_is_done_once(
    at: int, dies: int, landed: bool
) -> None:
    simulation, provider, brakes = Simulation(), FakeProvider(), list[str]()
    simulation.store.after[at] = lambda: brakes.append(simulation.hold(BrakeScope("place-order")))
    simulation.crash(dies, landed)
    await simulation.run(place_order(provider), request())
    for brake in brakes:
        assert simulation.status[ID] in ("running", "completed")
        simulation.crash(1, landed)
        simulation.lift(brake)
    played = await simulation.run(place_order(provider), request())
    assert played.state.status == "completed"
    assert provider.net == DONE
    assert len(provider.calls) <= len(DONE) + 2, "only what a death left in doubt is asked again"


@pytest.mark.parametrize("by", UNDOES)
@pytest.mark.parametrize("landed", [False, True])
async def test_a_compensation_waits_only_if_the_brake_says_so(by: str, landed: bool) -> None:
    simulation, provider = Simulation(), FakeProvider()
    free = simulation.hold(BrakeScope("place-order", None, by))
    held = simulation.hold(BrakeScope("place-order", None, by), compensations=True)
    await simulation.run(place_order(provider), request(postcode="00000"))
    row = simulation.store.rows[ID]
    assert (row.status, row.brake) == ("compensating", held)
    simulation.crash(1, landed)
    simulation.lift(held)
    played = await simulation.run(place_order(provider), request(postcode="00000"))
    assert played.state.status == "compensated"
    assert provider.net == []
    assert len(told(simulation, CompensationBraked)) == 1
    assert free in simulation.store.brake_rows


async def test_a_deadline_that_passes_at_a_brake_turns_the_saga_back() -> None:
    simulation, provider = Simulation(), FakeProvider()
    simulation.deadline = simulation.clock + seconds(60)
    simulation.hold(BrakeScope(step="charge_card"))
    played = await simulation.run(place_order(provider), request())
    assert played.state.status == "compensated"
    assert "deadline" in (played.state.reason or "")
    assert provider.net == []
    assert "charge" not in provider.calls


async def test_a_cancel_reaches_a_saga_at_a_brake() -> None:
    simulation, provider = Simulation(), FakeProvider()
    simulation.hold(BrakeScope(step="charge_card"))
    await simulation.run(place_order(provider), request())
    simulation.cancel("the customer called")
    played = await simulation.run(place_order(provider), request())
    assert (played.state.status, provider.net) == ("compensated", [])


async def test_a_start_is_held_before_it_has_begun() -> None:
    simulation, provider = Simulation(), FakeProvider()
    brake = simulation.hold(BrakeScope("place-order"))
    await simulation.run(place_order(provider), request())
    assert simulation.status[ID] == "queued"
    assert not simulation.state().steps
    simulation.lift(brake)
    played = await simulation.run(place_order(provider), request())
    assert (played.state.status, provider.net) == ("completed", DONE)


async def test_between_two_attempts_a_brake_holds_the_next_one() -> None:
    simulation, provider, brakes = Simulation(), FakeProvider(failures={"charge": 1}), list[str]()
    simulation.store.after[3] = lambda: brakes.append(simulation.hold(BrakeScope(step="charge_card")))
    await simulation.run(place_order(provider), request())
    assert provider.calls.count("charge") == 1, "the attempt that failed"
    assert simulation.store.rows[ID].brake == brakes[0]
    simulation.lift(brakes[0])
    played = await simulation.run(place_order(provider), request())
    assert (played.state.status, provider.net) == ("completed", DONE)
