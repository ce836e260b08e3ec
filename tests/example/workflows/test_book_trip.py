"""Three things at the same time: all of them, or none."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from domain.travel import TripRequest
from workflows.amends.history import SagaStuck, StepCompensated
from workflows.amends.saga import Call, Saga, step
from workflows.amends.simulation.simulation import Simulation, SimulationResult
from workflows.book_trip import Booking, BookTrip, Part, SoldOut

REQUEST = TripRequest("t-1", "Ann", "LH1", "Ritz", "Mini")


@dataclass
class FakeTravel:
    """A travel agency in memory that remembers keys; what is slow is answered last."""

    booked: dict[str, str] = field(default_factory=dict)
    undone: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)

    async def book(self, part: Part, wanted: str, traveller: str, *, reference: str, key: str) -> Booking:
        self.calls.append(f"book {part}")
        for _ in range(3 if wanted == "SLOW" else 0):
            await asyncio.sleep(0)
        if wanted == "SOLD-OUT":
            raise SoldOut(part, wanted)
        if key in self.undone or part in self.failing:
            raise ConnectionError("no answer")
        return Booking(self.booked.setdefault(key, part))

    async def cancel(self, *, of: str, reference: str, key: str) -> None:
        self.calls.append(f"cancel {of.split('.')[1]}")
        self.undone.add(of)

    @property
    def net(self) -> list[str]:
        return sorted(part for key, part in self.booked.items() if key not in self.undone)


def trip(**changes: str) -> TripRequest:
    return TripRequest(**(vars(REQUEST) | changes))


async def play(
    travel: FakeTravel, request: TripRequest = REQUEST, simulation: Simulation | None = None
) -> SimulationResult:
    return await (simulation or Simulation()).run(BookTrip(travel), request)


async def test_all_three_are_booked() -> None:
    travel = FakeTravel()
    played = await play(travel)
    assert played.state.status == "completed"
    assert travel.net == ["car", "flight", "hotel"]
    assert [step.name for step in played.state.steps] == ["book_flight", "book_hotel", "book_car"]


@pytest.mark.parametrize("part", ["flight", "hotel", "car"])
async def test_one_that_is_sold_out_lets_the_others_settle_and_takes_them_back(part: str) -> None:
    travel = FakeTravel()
    slow = {other: "SLOW" for other in ("flight", "hotel", "car") if other != part}
    played = await play(travel, trip(**slow, **{part: "SOLD-OUT"}))
    assert played.state.status == "compensated"
    assert played.state.reason == f"The {part} SOLD-OUT is sold out."
    assert len([call for call in travel.calls if call.startswith("book")]) == 3
    assert travel.net == []


async def test_compensations_run_in_reverse_order_of_the_start_whatever_was_answered_first() -> None:
    travel, simulation = FakeTravel(), Simulation()
    await play(travel, trip(flight="SLOW", car="SOLD-OUT"), simulation)
    undone = [event.step for _, event in simulation.history() if isinstance(event, StepCompensated)]
    assert undone == ["book_hotel", "book_flight"]


async def test_one_that_nobody_answers_is_taken_back_too() -> None:
    travel = FakeTravel(failing={"hotel"})
    played = await play(travel)
    assert played.state.status == "compensated"
    assert travel.net == []
    assert {call for call in travel.calls if call.startswith("cancel")} == {
        "cancel book_flight", "cancel book_hotel", "cancel book_car",
    }  # fmt: skip


@pytest.mark.parametrize("landed", [False, True])
@pytest.mark.parametrize("changes", [{}, {"hotel": "SOLD-OUT"}, {"flight": "SLOW", "car": "SOLD-OUT"}])
async def test_a_crash_around_any_commit_changes_nothing(changes: dict[str, str], landed: bool) -> None:
    undisturbed = Simulation()
    expected = await play(FakeTravel(), trip(**changes), undisturbed)
    for at in range(1, undisturbed.commits + 1):
        travel, simulation = FakeTravel(), Simulation()
        simulation.crash(at, landed)
        played = await play(travel, trip(**changes), simulation)
        assert played.state.status == expected.state.status
        assert travel.net == (["car", "flight", "hotel"] if played.state.status == "completed" else [])
        assert played.executions == 2
        names = {each.step_id: each.name for each in simulation.checkpoints()}
        assert names == {each.step_id: each.name for each in undisturbed.checkpoints()}


@dataclass(frozen=True)
class Twice(Saga[str, tuple[str, ...]], name="twice"):
    """The same step several times at once."""

    keys: list[str]

    async def run(self, request: str) -> tuple[str, ...]:
        return await self.gather(*(self.say(f"{request}{number}") for number in range(5)))

    @step(compensation=None)
    async def say(self, call: Call, word: str) -> str:
        self.keys.append(call.key)
        return word


async def test_the_same_step_several_times_at_once_is_not_mixed_up_with_itself() -> None:
    keys: list[str] = []
    assert (await Simulation().run(Twice(keys), "x")).result == ["x0", "x1", "x2", "x3", "x4"]
    assert keys == [f"simulated.say.{number}.0" for number in range(1, 6)]


@dataclass(frozen=True)
class Branching(Saga[str, None], name="branching"):
    async def run(self, request: str) -> None:
        await self.gather(self.longer(), self.longer())  # type: ignore[call-overload]

    async def longer(self) -> None: ...

    @step(compensation=None)
    async def any(self, call: Call) -> None: ...


async def test_a_branch_that_is_no_step_is_refused() -> None:
    simulation = Simulation()
    played = await simulation.run(Branching(), "x")
    assert played.state.status == "stuck"
    stuck = next(event for _, event in simulation.history() if isinstance(event, SagaStuck))
    assert "gather: takes calls of steps" in stuck.reason
    assert "takes calls of steps" in stuck.reason
