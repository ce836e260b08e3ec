"""Corners where a saga could lose its way: odd answers, odd moments, odd places for a pivot."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from tests.example.workflows.fakes import FakeProvider, place_order, request
from tests.example.workflows.test_transfer_money import balances, simulation
from tests.example.workflows.test_transfer_money import play as play_transfer
from workflows.amends.call import ProviderDown
from workflows.amends.history import SagaCompensating, StepRetrying
from workflows.amends.saga import Call, Retry, Saga, Undo, seconds, step
from workflows.amends.simulation.simulation import Simulation
from workflows.place_order import Receipt


@pytest.mark.parametrize("at", [1, 2])
async def test_a_cancel_that_another_server_took_is_found_as_the_saga_parks(at: int) -> None:
    on = simulation()
    on.tells = False
    on.cancel("by another server", at)
    played = await play_transfer(on)
    assert played.state.status == "compensated"
    assert balances(on) == (1000, 0)


class Odd(FakeProvider):
    """A provider whose answers cannot be stored: half a character, and a character that no database takes."""

    def __init__(self, answer: str) -> None:
        super().__init__()
        self.answer = answer

    async def charge(self, *args: Any, **kwargs: Any) -> Receipt:
        await super().charge(*args, **kwargs)
        return Receipt(self.answer, args[1])


@pytest.mark.parametrize("answer", ["cut off \ud83d", "zero \x00"])
async def test_an_answer_that_cannot_be_stored_is_no_answer_and_what_it_did_is_undone(answer: str) -> None:
    provider, on = Odd(answer), Simulation()
    played = await on.run(place_order(provider), request())
    assert played.state.status == "compensated"
    assert provider.net == []


class Raising(FakeProvider):
    async def charge(self, *args: Any, **kwargs: Any) -> Receipt:
        await super().charge(*args, **kwargs)
        raise ConnectionError("500: cut off \ud83d")


async def test_an_error_that_cannot_be_stored_is_written_out() -> None:
    provider, on = Raising(), Simulation()
    played = await on.run(place_order(provider), request())
    assert (played.state.status, provider.net) == ("compensated", [])
    said = [event.error.message for _, event in on.history() if isinstance(event, StepRetrying)]
    assert said[0] == "500: cut off \\ud83d"


@dataclass(frozen=True)
class Clocked(Saga[str, str], name="clocked"):
    async def run(self, request: str) -> str:
        await self.first(self.now())
        await self.second(self.now())
        return request

    @step(compensation=None)
    async def first(self, call: Call, at: datetime) -> None: ...

    @step(compensation=None)
    async def second(self, call: Call, at: datetime) -> None: ...


@pytest.mark.parametrize("at", [1, 2, 3])
async def test_now_is_the_same_in_every_life_before_the_first_step_too(at: int) -> None:
    on = Simulation()
    on.crash(at, landed=True)
    saga = Clocked()

    def later() -> Clocked:
        on.clock += seconds(100)
        return saga

    played = await on.run(later, "x")
    assert played.state.status == "completed", played.state.reason


@dataclass(frozen=True)
class Torn(Saga[str, str], name="torn"):
    async def run(self, request: str) -> str:
        await self.gather(self.point_of_no_return(), self.other())
        return request

    @step(pivot=True)
    async def point_of_no_return(self, call: Call) -> None: ...

    @step(compensation=None)
    async def other(self, call: Call) -> None: ...


async def test_a_pivot_is_never_one_of_several() -> None:
    played = await Simulation().run(Torn(), "x")
    assert played.state.status == "stuck"
    assert "point_of_no_return is the pivot" in (played.state.reason or "")


@dataclass(frozen=True)
class Buggy(Saga[str, str], name="buggy"):
    """Its first step is made and undone as it should be; then its code has a bug."""

    done: list[str] = field(default_factory=list)

    async def run(self, request: str) -> str:
        await self.work(request)
        raise ZeroDivisionError("a bug")

    @step
    async def work(self, call: Call, word: str) -> None:
        self.done.append(word)

    @work.compensation
    async def unwork(self, undo: Undo[None], word: str) -> None:
        self.done.remove(word)


@pytest.mark.parametrize("crash_at", range(1, 6))
async def test_a_saga_with_a_bug_is_cancelled(crash_at: int) -> None:
    on, saga = Simulation(), Buggy()
    assert (await on.run(saga, "x")).state.status == "stuck"
    on.cancel("no use")
    on.status["simulated"] = "running"
    on.crash(crash_at, landed=crash_at % 2 == 0)
    played = await on.run(saga, "x")
    assert (played.state.status, played.state.reason) == ("compensated", "cancelled: no use")
    assert saga.done == []
    assert sum(isinstance(event, SagaCompensating) for _, event in on.history()) == 1


@pytest.mark.parametrize("crash_at", range(1, 6))
async def test_a_saga_with_a_bug_is_given_up(crash_at: int) -> None:
    on, saga = Simulation(), Buggy()
    await on.run(saga, "x")
    on.handle_stuck("skip")
    on.crash(crash_at, landed=crash_at % 2 == 0)
    played = await on.run(saga, "x")
    assert (played.state.status, saga.done) == ("compensated", [])
    assert sum(isinstance(event, SagaCompensating) for _, event in on.history()) == 1


@dataclass(frozen=True)
class Unreachable(Saga[str, str], name="unreachable"):
    calls: list[str]

    async def run(self, request: str) -> str:
        await self.hold()
        await self.book()
        return request

    @step
    async def hold(self, call: Call) -> None:
        self.calls.append("hold")

    @hold.compensation
    async def release(self, undo: Undo[None]) -> None:
        self.calls.append("release")

    @step(pivot=True, retry=Retry(attempts=3))
    async def book(self, call: Call) -> None:
        self.calls.append("asked")
        raise ProviderDown("couriers", "2026-01-01")


async def test_a_pivot_that_nobody_was_asked_for_can_be_cancelled() -> None:
    on, calls = Simulation(), list[str]()
    on.deadline = on.clock + seconds(60)
    played = await on.run(Unreachable(calls), "x")
    assert played.state.status == "compensated"
    assert "deadline" in (played.state.reason or "")
    assert calls[-1] == "release"
    assert calls.count("asked") > 3, "nobody was called, so no attempt was counted"
