"""Values belong to whoever got them, and the code of one saga stays within that saga."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from domain.amends.errors import Refusal
from workflows.amends.engine.user_code.tasks import GuardedTask, guard_tasks
from workflows.amends.saga import Call, Retry, Saga, Undo, seconds, signal, step
from workflows.amends.simulation.simulation import Simulation
from workflows.amends.values.limits import Limits


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")


class SeatTaken(Refusal, name="borders-seat-taken"):
    """{seat} is taken."""

    seat: str


@dataclass(frozen=True)
class Seats(Saga[str, None], name="borders-seats"):
    """Each of its steps changes whatever it was given, and notes what it saw."""

    seen: list[Any] = field(default_factory=list)

    async def run(self, request: str) -> None:
        booked = await self.book(Loose(seats=["1A"]))
        booked.seats.append("changed by run")  # type: ignore[attr-defined]
        await self.fail()

    @step(retry=Retry(attempts=2, first_wait=seconds(0)))
    async def book(self, call: Call, wanted: Loose) -> Loose:
        seats: list[str] = wanted.seats  # type: ignore[attr-defined]
        self.seen.append(list(seats))
        seats.append("changed by the step")
        if call.attempt == 1:
            raise ValueError("not yet")
        return wanted

    @book.compensation
    async def release(self, undo: Undo[Loose], wanted: Loose) -> None:
        self.seen.append(list(wanted.seats))  # type: ignore[attr-defined]
        self.seen.append(list(undo.outcome.value.seats))  # type: ignore[union-attr]

    @step(compensation=None)
    async def fail(self, call: Call) -> None:
        raise SeatTaken("1A")


async def test_what_one_reader_changes_of_a_value_no_other_reader_sees() -> None:
    saga = Seats()
    played = await Simulation().run(saga, "x")
    assert played.state.status == "compensated"
    assert saga.seen == [["1A"], ["1A"], ["1A"], ["1A", "changed by the step"]]


@dataclass(frozen=True)
class Answers(Saga[str, list[SeatTaken | str]], name="borders-answers"):
    """Asks at once and alone for something that is an error elsewhere, and a value here."""

    async def run(self, request: str) -> list[SeatTaken | str]:
        alone = await self.ask("1A")
        one, other = await self.gather(self.ask("1B"), self.ask("2A"))
        return [str(each) for each in (alone, one, other)]

    @step(compensation=None)
    async def ask(self, call: Call, seat: str) -> SeatTaken | str:
        return SeatTaken(seat) if seat.startswith("1") else seat


async def test_an_error_that_a_step_returns_is_its_result_alone_as_well_as_among_others() -> None:
    played = await Simulation().run(Answers(), "x")
    assert played.result == ["1A is taken.", "1B is taken.", "2A"]


@dataclass(frozen=True)
class Digits(Saga[int, int], name="borders-digits"):
    async def run(self, request: int) -> int:
        number: int = 10**request
        return number


@pytest.mark.parametrize(("digits", "status"), [(4299, "completed"), (4300, "stuck"), (100_000, "stuck")])
async def test_a_number_that_could_not_be_read_again_is_refused_before_it_is_stored(digits: int, status: str) -> None:
    played = await Simulation().run(Digits(), digits)
    assert played.state.status == status
    assert status == "completed" or "4300 digits" in (played.state.reason or "")


@dataclass(frozen=True)
class Inner(Saga[str, str], name="borders-inner"):
    seen: list[str] = field(default_factory=list)

    async def run(self, request: str) -> str:
        return await self.act(request)

    @step(compensation=None)
    async def act(self, call: Call, what: str) -> str:
        self.seen.append(what)
        return what


@dataclass(frozen=True)
class Outer(Saga[str, str], name="borders-outer"):
    inner: Inner
    by_hand: bool = False

    async def run(self, request: str) -> str:
        with contextlib.suppress(Exception):
            await (self.inner.act(request) if self.by_hand else self.inner.run(request))
        return request


@pytest.mark.parametrize("by_hand", [True, False])
async def test_the_steps_of_another_saga_are_refused_whatever_run_makes_of_that(by_hand: bool) -> None:
    inner = Inner()
    played = await Simulation().run(Outer(inner, by_hand), "x")
    assert played.state.status == "stuck"
    assert "self.child" in (played.state.reason or "")
    assert inner.seen == []


@dataclass(frozen=True)
class Nested(Saga[str, str], name="borders-nested"):
    async def run(self, request: str) -> str:
        return await self.outside(request)

    @step(compensation=None)
    async def outside(self, call: Call, what: str) -> str:
        with contextlib.suppress(Exception):
            await self.inside(what)
        return what

    @step(compensation=None)
    async def inside(self, call: Call, what: str) -> str:
        return what


async def test_a_step_that_swallows_that_it_may_call_no_other_is_a_bug_all_the_same() -> None:
    played = await Simulation().run(Nested(), "x")
    assert played.state.status == "stuck"
    assert "calls no other" in (played.state.reason or "")


# -- signals


@signal("borders-paid")
class Paid:
    by: str


@signal("borders-paid")
class PaidStrictly:
    by: str
    amount: int


@dataclass(frozen=True)
class Lax(Saga[str, str], name="borders-signal", signals=[Paid]):
    async def run(self, request: str) -> str:
        told = await self.receive(Paid)
        return told.by if told else ""


@dataclass(frozen=True)
class Strict(Saga[str, str], name="borders-signal", signals=[PaidStrictly]):
    async def run(self, request: str) -> str:
        told = await self.receive(PaidStrictly)
        return told.by if told else ""


async def test_a_signal_that_does_not_fit_its_type_any_more_waits_for_fitting_code() -> None:
    simulation = Simulation()
    assert (await simulation.run(Lax(), "x")).state.status == "waiting"
    simulation.signal(Paid("ann"))
    played = await simulation.run(Strict(), "x")
    assert played.state.status == "stranded"
    assert "borders-paid" in (played.state.reason or "")
    assert "amount" in (played.state.reason or "")


# -- tasks


@dataclass(frozen=True)
class Cancels(Saga[str, str], name="borders-cancels"):
    async def run(self, request: str) -> str:
        await self.step()
        return request

    @step(compensation=None, retry=Retry(attempts=1))
    async def step(self, call: Call) -> None:
        me = asyncio.current_task()
        mine = asyncio.ensure_future(asyncio.sleep(60))
        for task in asyncio.all_tasks():
            if task is not me:
                task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await mine


async def beside_others() -> None:
    of_the_server = asyncio.ensure_future(asyncio.sleep(0.05, "still here"))
    played = await asyncio.ensure_future(Simulation().run(Cancels(), "x"))
    assert played.state.status == "compensated"  # the task of its own run was among them
    assert isinstance(of_the_server, GuardedTask)
    assert await of_the_server == "still here"


def test_code_that_cancels_every_task_there_is_cancels_its_own_alone(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    guard_tasks(loop)
    try:
        loop.run_until_complete(beside_others())
    finally:
        loop.close()
    assert sum("not its own" in record.getMessage() for record in caplog.records) == 1


@dataclass(frozen=True)
class Spins(Saga[str, str], name="borders-spins"):
    turns: list[int] = field(default_factory=list)

    async def run(self, request: str) -> str:
        await self.spin()
        return request

    @step(compensation=None, retry=Retry(attempts=1), timeout=seconds(0.1))
    async def spin(self, call: Call) -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                self.turns.append(1)
                await asyncio.sleep(0)


async def test_code_that_never_ends_is_dropped_where_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.amends.engine.user_code.user_code.STOP_SECONDS", 1)
    saga = Spins()
    played = await Simulation(limits=Limits(between=1.0)).run(saga, "x")
    assert played.state.status == "stuck"
    turns = len(saga.turns)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(saga.turns) == turns
