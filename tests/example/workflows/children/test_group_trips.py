"""A saga that starts others: it waits for them, is told how they ended, and calls back what they did."""

from __future__ import annotations

import pytest

from domain.amends.event import Cause
from domain.banking import OpenAccount, accounts, open_account
from domain.travel import GroupTripRequest, Member
from tests.example.workflows.test_book_trip import FakeTravel
from tests.example.workflows.test_transfer_money import balances
from workflows.amends.history import StepCompensated
from workflows.amends.ports.event_store import new_business_event
from workflows.amends.simulation.simulation import Simulation, SimulationResult
from workflows.book_group_trip import BookGroupTrip
from workflows.book_trip import BookTrip
from workflows.transfer_money import Approval, TransferMoney

ANN, BOB = Member("Ann", "LH1", "Ritz", "Mini"), Member("Bob", "LH1", "Ritz", "Golf")


SOLD_OUT = Member("Eve", "LH1", "SOLD-OUT", "Mini")


TRIPS = [f"simulated.book-trip.{number}.0" for number in (1, 2)]


PAYMENT = "simulated.transfer-money.1.0"


def request(*members: Member, price: int = 500) -> GroupTripRequest:
    return GroupTripRequest("g-1", members or (ANN, BOB), "a", "b", price, "EUR")


def simulation(travel: FakeTravel, limit: int = 1000, **balances: int) -> Simulation:
    made = Simulation(sagas=(BookTrip(travel), TransferMoney(limit)))
    for id, balance in ({"a": 1000, "b": 0} | balances).items():
        (opened,) = open_account(None, OpenAccount(id, "Ann", "EUR", balance))
        made.store.events.write([new_business_event(accounts.stream(id), opened, Cause())])
    return made


async def play(
    on: Simulation, wanted: GroupTripRequest | None = None, signals: tuple[object, ...] = ()
) -> SimulationResult:
    return await on.run(BookGroupTrip(), wanted or request(), signals=signals)


async def test_everybody_travels_and_the_trips_are_paid() -> None:
    travel = FakeTravel()
    on = simulation(travel)
    played = await play(on)
    assert played.state.status == "completed"
    assert len(travel.net) == 6
    assert balances(on) == (500, 500)
    assert [trip["trip_id"] for trip in played.result["trips"]] == ["g-1-1", "g-1-2"]
    assert [(step.name, step.kind, step.status, step.child) for step in played.state.steps] == [
        ("book-trip", "child", "completed", TRIPS[0]),
        ("book-trip", "child", "completed", TRIPS[1]),
        ("transfer-money", "child", "completed", PAYMENT),
    ]
    assert {on.status[child] for child in (*TRIPS, PAYMENT)} == {"completed"}


async def test_one_that_is_refused_calls_the_others_back() -> None:
    travel = FakeTravel()
    on = simulation(travel)
    played = await play(on, request(ANN, SOLD_OUT))
    assert played.state.status == "compensated"
    assert played.state.reason == "The hotel SOLD-OUT is sold out."
    assert played.state.error is not None
    assert played.state.error.name == "sold-out", "the child's own refusal, with its facts"
    assert travel.net == []
    assert [on.status[child] for child in TRIPS] == ["compensated", "compensated"]
    assert [step.status for step in played.state.steps] == ["compensated", "refused"]
    assert "its parent simulated turns back" in (on.state(TRIPS[0]).reason or "")
    assert PAYMENT not in on.status


async def test_completed_children_are_compensated_when_their_parent_fails_later() -> None:
    travel = FakeTravel()
    on = simulation(travel, a=3)
    played = await play(on)
    assert played.state.status == "compensated"
    assert travel.net == []
    assert balances(on) == (3, 0)
    undone = [event.slot for _, event in on.history() if isinstance(event, StepCompensated)]
    assert undone == sorted(undone)
    assert [on.status[child] for child in TRIPS] == ["compensated", "compensated"]
    assert on.state(TRIPS[0]).result is None


async def test_a_child_whose_id_would_be_too_long_is_not_started() -> None:
    on = simulation(FakeTravel())
    played = await on.run(BookGroupTrip(), request(), id="x" * 390)
    assert played.state.status == "stuck"
    assert "would have more than 400 characters" in (played.state.reason or "")
    assert list(on.status) == ["x" * 390]


async def test_a_cancel_travels_to_the_children() -> None:
    travel = FakeTravel()
    on = simulation(travel, limit=100)
    on.start(BookGroupTrip(), request())
    on.cancel("changed our minds", at=0)
    assert (await play(on)).state.status == "compensated"
    travel = FakeTravel()
    on = simulation(travel, limit=100)  # the payment waits for an approval that never comes
    on.cancel("changed our minds", at=20)
    played = await play(on)
    assert played.state.status == "compensated"
    assert travel.net == []
    assert balances(on) == (1000, 0)


async def test_a_person_who_cancels_a_child_makes_its_parent_turn_back() -> None:
    travel = FakeTravel()
    on = simulation(travel, limit=100)
    played = await play(on, signals=(Approval(False, "ann"),))
    assert played.state.status == "compensated"
    assert played.state.reason == "The transfer was not approved by ann."
    assert travel.net == []


@pytest.mark.parametrize("landed", [False, True])
@pytest.mark.parametrize("path", ["completed", "sold out", "too little money", "refused", "cancelled"])
async def test_a_crash_around_any_commit_changes_nothing(path: str, landed: bool) -> None:
    async def act(travel: FakeTravel, at: int) -> Simulation:
        on = simulation(travel, limit=100, a=3 if path == "too little money" else 1000)
        if at:
            on.crash(at, landed)
        wanted = request(ANN, SOLD_OUT) if path == "sold out" else request()
        on.start(BookGroupTrip(), wanted)
        if path == "cancelled":
            on.cancel("no", at=14)
        signals = () if path == "cancelled" else (Approval(path != "refused", "ann"),)
        await on.run(BookGroupTrip(), wanted, signals=signals)
        return on

    undisturbed = await act(FakeTravel(), 0)
    assert undisturbed.status["simulated"] == ("completed" if path == "completed" else "compensated")
    for at in range(1, undisturbed.commits + 1):
        travel = FakeTravel()
        on = await act(travel, at)
        assert on.status["simulated"] == undisturbed.status["simulated"], at
        assert len(travel.net) == (6 if path == "completed" else 0), at
        assert balances(on) == balances(undisturbed), at


@pytest.mark.parametrize("at", range(1, 30))
@pytest.mark.parametrize("tells", [True, False])
async def test_a_cancel_at_any_moment_leaves_nothing_or_comes_too_late(at: int, tells: bool) -> None:
    travel = FakeTravel()
    on = simulation(travel)
    on.tells = tells
    on.cancel("no", at=at)
    await play(on)
    if on.status["simulated"] == "completed":
        assert len(travel.net) == 6
        assert balances(on) == (500, 500)
    else:
        assert travel.net == []
        assert balances(on) == (1000, 0)
        assert "completed" not in on.status.values()
