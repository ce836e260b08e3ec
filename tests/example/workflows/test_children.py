"""A saga that starts others: it waits for them, is told how they ended, and calls back what they did."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from domain.amends.errors import DefinitionError
from domain.amends.event import Cause
from domain.banking import OpenAccount, accounts, open_account
from domain.travel import GroupTripRequest, Member
from tests.example.workflows.test_book_trip import FakeTravel
from tests.example.workflows.test_transfer_money import balances
from workflows.amends.history import CancelRequested, ChildStarted, SagaStuck, StepCompensated
from workflows.amends.ports.event_store import record
from workflows.amends.saga import Call, ChildFailed, Saga, Transaction, Undo, hours, signal, step, transaction
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
        made.store.events.write([record(accounts.stream(id), opened, Cause())])
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


@dataclass(frozen=True)
class Shipping(Saga[str, str], name="shipping"):
    """Waits for a person, then ships: there is no way back from that."""

    log: list[str]

    async def run(self, request: str) -> str:
        return await self.ship(request)

    @step(pivot=True)
    async def ship(self, call: Call, request: str) -> str:
        self.log.append("ship")
        if request == "refused":
            raise ChildFailed("shipping", "no carrier")
        return request


@dataclass(frozen=True)
class Selling(Saga[str, str], name="selling", children=(Shipping,)):
    log: list[str]

    async def run(self, request: str) -> str:
        await self.pay(request)
        try:
            return await self.child(Shipping, request)
        except ChildFailed:
            return await self.child(Shipping, "another carrier")

    @step
    async def pay(self, call: Call, request: str) -> None:
        self.log.append("pay")

    @pay.compensation
    async def refund(self, undo: Undo[None], request: str) -> None:
        self.log.append("refund")


async def test_the_refusal_of_a_child_can_be_caught_and_another_way_be_taken() -> None:
    log: list[str] = []
    played = await Simulation(sagas=[Shipping(log)]).run(Selling(log), "refused")
    assert (played.state.status, played.result) == ("completed", "another carrier")
    assert log == ["pay", "ship", "ship"]


def test_a_child_with_a_pivot_is_a_pivot_of_its_parent() -> None:
    steps = {each["name"]: each for each in Selling.definition.describe()["steps"]}
    assert steps["shipping"] == {"name": "shipping", "kind": "child", "pivot": True, "compensation": None}


async def test_a_child_that_is_not_declared_is_refused() -> None:
    @dataclass(frozen=True)
    class Sloppy(Saga[str, str], name="sloppy"):
        async def run(self, request: str) -> str:
            return await self.child(Shipping, request)

    on = Simulation(sagas=[Shipping([])])
    played = await on.run(Sloppy(), "x")
    assert played.state.status == "stuck"
    assert "is none of the sagas that sloppy declares" in (played.state.reason or "")


def test_two_steps_of_one_name_are_refused() -> None:
    with pytest.raises(DefinitionError, match="two steps of the name 'shipping'"):

        class Twice(Saga[str, str], name="twice-shipping", children=(Shipping, Shipping)):
            async def run(self, request: str) -> str:
                return await self.child(Shipping, request)


@signal("go")
class Go:
    """Somebody says that it may go on."""


@dataclass(frozen=True)
class Waiter(Saga[str, str], name="waiter", signals=(Go,)):
    async def run(self, request: str) -> str:
        await self.hold(request)
        await self.receive(Go)
        return request

    @transaction
    async def hold(self, tx: Transaction, request: str) -> None: ...

    @hold.compensation
    async def release(self, tx: Transaction, request: str) -> None: ...


@dataclass(frozen=True)
class Patient(Saga[str, str], name="patient", children=(Waiter,), deadline=hours(1)):
    async def run(self, request: str) -> str:
        return await self.child(Waiter, request)


async def test_the_deadline_of_a_parent_ends_its_child() -> None:
    on = Simulation(sagas=[Waiter()])
    played = await on.run(Patient(), "x")
    assert played.state.status == "compensated"
    assert on.status["simulated.waiter.1.0"] == "compensated"
    told = [event.reason for _, event in on.history("simulated.waiter.1.0") if isinstance(event, CancelRequested)]
    assert len(told) == 1
    assert "its deadline" in told[0]


@dataclass(frozen=True)
class Mixed(Saga[str, None], name="mixed", children=(Waiter,)):
    """One branch has a bug while the other, a child, is under way."""

    async def run(self, request: str) -> None:
        await self.gather(self.fragile(request), self.child(Waiter, request), self.child(Waiter, "other"))

    @transaction
    async def fragile(self, tx: Transaction, request: str) -> None:
        raise ValueError("a bug")

    @fragile.compensation
    async def mend(self, tx: Transaction, request: str) -> None: ...


@pytest.mark.parametrize("tells", [False, True])
@pytest.mark.parametrize("at", range(1, 12))
async def test_children_beside_a_branch_that_is_stuck_are_called_back_by_a_cancel(at: int, tells: bool) -> None:
    async def act(crash: int, landed: bool = False) -> Simulation:
        on = Simulation(sagas=[Waiter()], tells=tells)
        on.start(Mixed(), "x")
        on.cancel("no", at)
        if crash:
            on.crash(crash, landed)
        for _ in range(6):  # who is stuck is woken by the cancel
            played = await on.run(Mixed(), "x")
        if any(isinstance(event, CancelRequested) for _, event in on.history()):
            assert (played.state.status, played.state.reason) == ("compensated", "cancelled: no"), (crash, landed)
            assert set(on.status.values()) == {"compensated"}, (crash, landed)
        return on

    for number in range(1, (await act(0)).commits + 1):
        await act(number, landed=False)
        await act(number, landed=True)


@dataclass(frozen=True)
class Late(Saga[str, str], name="late", children=(Waiter,)):
    """Its child comes after the point of no return."""

    async def run(self, request: str) -> str:
        await self.commit(request)
        return await self.child(Waiter, request)

    @transaction(pivot=True)
    async def commit(self, tx: Transaction, request: str) -> None: ...


@dataclass(frozen=True)
class Refusing(Waiter, name="waiter", signals=(Go,)):
    async def run(self, request: str) -> str:
        await self.hold(request)
        raise ChildFailed("waiter", "no")


async def test_a_child_that_is_refused_after_the_pivot_waits_for_a_person_who_can_try_it_again() -> None:
    on = Simulation(sagas=[Refusing()])
    played = await on.run(Late(), "x")
    assert played.state.status == "stuck"
    stuck = next(event for _, event in on.history() if isinstance(event, SagaStuck))
    assert stuck.step == "waiter"
    on.sagas = [Waiter()]
    on.handle_stuck("retry")
    played = await on.run(Late(), "x", signals=[Go()])
    assert (played.state.status, played.result) == ("completed", "x")
    assert [event.child for _, event in on.history() if isinstance(event, ChildStarted)] == [
        "simulated.waiter.1.0",
        "simulated.waiter.1.0.1",
    ]
