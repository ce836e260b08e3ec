"""Cancel and deadline: at any moment before the pivot, what was done or may have been done is undone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from tests.example.workflows.fakes import FakeProvider, place_order, request
from tests.example.workflows.test_book_trip import FakeTravel, trip
from tests.example.workflows.test_transfer_money import balances, simulation
from tests.example.workflows.test_transfer_money import play as play_transfer
from workflows.amends.history import CancelLost, SagaCompensating, StepCompensated
from workflows.amends.saga import Call, Retry, Saga, Undo, seconds, step
from workflows.amends.simulation.simulation import Simulation
from workflows.book_trip import BookTrip

PIVOT = 4
"""The fourth commit of place-order is that of its pivot."""


@pytest.mark.parametrize("at", [1, 2, 3])
async def test_a_cancel_between_steps_undoes_what_was_done(at: int) -> None:
    on, provider = Simulation(), FakeProvider()
    on.cancel("changed my mind", at)
    played = await on.run(place_order(provider), request())
    assert played.state.status == "compensated"
    assert played.state.reason == "cancelled: changed my mind"
    assert provider.net == []
    undone = [event.step for _, event in on.history() if isinstance(event, StepCompensated)]
    assert undone == ["charge_card", "hold_stock", "open_order"][3 - at :]


async def test_a_cancel_that_comes_first_does_nothing_at_all() -> None:
    on, provider = Simulation(), FakeProvider()
    on.start(place_order(provider), request())
    on.cancel("at once")
    played = await on.run(place_order(provider), request())
    assert (played.state.status, provider.calls) == ("compensated", [])


@pytest.mark.parametrize("at", [PIVOT, PIVOT + 1])
async def test_a_cancel_that_the_pivot_has_beaten_is_told_so(at: int) -> None:
    on, provider = Simulation(), FakeProvider()
    on.cancel("too late", at)
    played = await on.run(place_order(provider), request())
    assert played.state.status == "completed"
    assert provider.net == ["book", "charge", "hold"]
    assert [event.reason for _, event in on.history() if isinstance(event, CancelLost)] == ["too late"]


@pytest.mark.parametrize("landed", [False, True])
async def test_a_cancel_and_a_crash_anywhere_leave_all_or_nothing(landed: bool) -> None:
    """For every commit at which the cancel comes, and every commit at which the executor dies after that."""
    for cancel_at in range(1, 6):
        for crash_at in range(1, 12):
            on, provider = Simulation(), FakeProvider()
            on.cancel("why not", cancel_at)
            on.crash(crash_at, landed)
            played = await on.run(place_order(provider), request())
            assert played.state.status in ("completed", "compensated"), (cancel_at, crash_at)
            done = ["book", "charge", "hold"] if played.state.status == "completed" else []
            assert provider.net == done, (cancel_at, crash_at)
            asked_again = not landed and (cancel_at, crash_at) == (PIVOT - 1, PIVOT)  # the pivot is in doubt
            if cancel_at < PIVOT and crash_at > cancel_at and not asked_again:
                assert played.state.status == "compensated", (cancel_at, crash_at)


async def test_a_step_that_a_crash_left_in_doubt_is_undone_too() -> None:
    """The charge was made, the crash took its answer, and the cancel came before anybody asked again."""
    on, provider = Simulation(), FakeProvider()
    on.crash(3)
    played = await _crashed_in_the_charge(on, provider)
    assert played.state.status == "compensated"
    assert provider.calls.count("charge") == 1
    assert provider.net == []
    back = next(event for _, event in on.history() if isinstance(event, SagaCompensating))
    assert back.in_doubt == (3,)


async def _crashed_in_the_charge(on: Simulation, provider: FakeProvider) -> Any:
    """Dies before the charge is recorded; the cancel comes between the two lives."""
    lives = iter(range(10))

    def living() -> Any:
        if next(lives) == 1:
            on.cancel("now")
        return place_order(provider)

    return await on.run(living, request())


async def test_a_pivot_in_doubt_is_asked_again_and_wins() -> None:
    on, provider = Simulation(), FakeProvider()
    on.crash(PIVOT)
    played = await _crashed_in_the_charge(on, provider)
    assert played.state.status == "completed"
    assert provider.net == ["book", "charge", "hold"]
    assert [event.reason for _, event in on.history() if isinstance(event, CancelLost)] == ["now"]


async def test_a_cancel_interrupts_retries() -> None:
    on, provider = Simulation(), FakeProvider(failures={"charge": 99})
    on.cancel("it takes too long", 4)
    played = await on.run(place_order(provider), request())
    assert played.state.reason == "cancelled: it takes too long"
    assert provider.calls.count("charge") < 5
    assert provider.net == []
    assert "refund" in provider.calls, "nobody knows what came of the charge"


@pytest.mark.parametrize("at", range(1, 4))
async def test_a_trip_is_cancelled_between_its_branches(at: int) -> None:
    on, travel = Simulation(), FakeTravel()
    on.cancel("no holidays", at)
    played = await on.run(BookTrip(travel), trip())
    assert played.state.status == "compensated"
    assert travel.net == []


async def test_a_waiting_transfer_is_cancelled() -> None:
    on = simulation()
    on.cancel("wrong account", 2)
    played = await play_transfer(on)
    assert played.state.status == "compensated"
    assert played.state.reason == "cancelled: wrong account"
    assert balances(on) == (1000, 0)


@dataclass(frozen=True)
class Slow(Saga[str, str], name="slow", deadline=seconds(60)):
    """Two calls; between them time passes."""

    done: list[str]
    failing: bool = False

    async def run(self, request: str) -> str:
        await self.first(request)
        await self.sleep(seconds(40))
        await self.second(request)
        await self.sleep(seconds(40))
        return request

    @step(retry=Retry(attempts=1))
    async def first(self, call: Call, word: str) -> None:
        self.done.append("first")

    @first.compensation
    async def unfirst(self, undo: Undo[None], word: str) -> None:
        self.done.remove("first")

    @step(retry=Retry(attempts=50, first_wait=seconds(5), backoff=1))
    async def second(self, call: Call, word: str) -> None:
        if self.failing:
            raise ConnectionError("no answer")
        self.done.append("second")

    @second.compensation
    async def unsecond(self, undo: Undo[None], word: str) -> None:
        if "second" in self.done:
            self.done.remove("second")


@pytest.mark.parametrize("failing", [False, True])
async def test_a_deadline_turns_a_saga_back_wherever_it_is(failing: bool) -> None:
    done: list[str] = []
    on = Simulation()
    began = on.clock
    played = await on.run(Slow(done, failing), "x")
    assert played.state.status == "compensated"
    assert "deadline" in (played.state.reason or "")
    assert on.clock - began < timedelta(seconds=61), "it did not wait any longer than that"
    assert done == []


@dataclass(frozen=True)
class Unhurried(Slow, name="unhurried"):
    """The same without a deadline."""


async def test_without_a_deadline_it_takes_its_time() -> None:
    done: list[str] = []
    assert (await Simulation().run(Unhurried(done), "x")).state.status == "completed"
    assert done == ["first", "second"]
