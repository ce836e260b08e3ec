"""A provider that is down costs no attempts; what was sent all the same is in doubt, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.amends.workflows.executor.provider_script import (
    ATTEMPTS,
    NOTHING_SENT,
    SENT,
    Does,
    Script,
    Two,
    another_first,
    broken,
    nothing,
    refused,
)
from workflows.amends.call import ProviderDown
from workflows.amends.history import CompensationWaiting, SagaStuck, StepRetrying, StepWaiting
from workflows.amends.providers import NoAnswer, Provider
from workflows.amends.saga import Call, Saga, Undo, seconds, step
from workflows.amends.simulation.simulation import Simulation
from workflows.amends.values.limits import Limits


def told(on: Simulation, kind: type) -> list[object]:
    return [event for _, event in on.history() if isinstance(event, kind)]


@pytest.mark.parametrize("how", [*NOTHING_SENT, *SENT], ids=lambda how: how.__name__)
async def test_a_provider_that_is_down_costs_no_attempt(how: Does) -> None:
    on, script = Simulation(), Script([how] * 9 + [nothing])
    played = await on.run(Two(script), "x")
    assert played.state.status == "completed"
    assert script.done == ["hold"] * 10
    assert not told(on, StepRetrying)
    assert len(told(on, StepWaiting)) == 1, "a wait is told once, however often is asked"


@pytest.mark.parametrize("how", ATTEMPTS, ids=lambda how: how.__name__)
async def test_what_was_sent_and_failed_is_an_attempt(how: Does) -> None:
    on, script = Simulation(), Script([how])
    played = await on.run(Two(script), "x")
    assert played.state.status == "compensated"
    assert script.done == ["hold", "hold", "OutcomeUnknown", "release", "after"]


@pytest.mark.parametrize("how", [*NOTHING_SENT, *SENT], ids=lambda how: how.__name__)
async def test_a_wait_that_ends_in_a_deadline_undoes_what_may_have_been_done_and_nothing_else(how: Does) -> None:
    on, script = Simulation(), Script([how])
    on.deadline = on.clock + seconds(60)
    played = await on.run(Two(script), "x")
    assert played.state.status == "compensated"
    assert "deadline" in (played.state.reason or "")
    undone = ["OutcomeUnknown", "release"] if how in SENT else []
    assert [each for each in script.done if each != "hold"] == [*undone, "after"]


@pytest.mark.parametrize("first", [broken, another_first], ids=lambda how: how.__name__)
async def test_what_was_sent_before_the_provider_went_down_stays_in_doubt(first: Does) -> None:
    on, script = Simulation(), Script([first, refused])
    on.deadline = on.clock + seconds(60)
    await on.run(Two(script), "x")
    assert "release" in script.done


async def test_a_compensation_waits_too_and_costs_no_attempt() -> None:
    on, script = Simulation(), Script([broken], [*[refused] * 9, nothing])
    played = await on.run(Two(script), "x")
    assert played.state.status == "compensated"
    assert script.done.count("release") == 10
    assert len(told(on, CompensationWaiting)) == 1


@pytest.mark.parametrize("fails", ["hold", "release"])
async def test_a_provider_that_stays_away_makes_the_saga_stuck_and_is_named(fails: str) -> None:
    on = Simulation(limits=Limits(provider=3600.0))
    script = Script([refused]) if fails == "hold" else Script([broken], [refused])
    began = on.clock
    played = await on.run(Two(script), "x")
    assert played.state.status == "stuck"
    assert f"{fails} waits for stock since" in (played.state.reason or "")
    assert "connection refused" in (played.state.reason or "")
    assert seconds(3600) <= on.clock - began < seconds(3700)
    on.handle_stuck("retry")
    script.attempts, script.undoing = [nothing], [nothing]
    played = await on.run(Two(script), "x")
    assert played.state.status == ("completed" if fails == "hold" else "compensated")


async def test_a_retry_after_that_waits_anew() -> None:
    on, script = Simulation(limits=Limits(provider=3600.0)), Script([refused])
    await on.run(Two(script), "x")
    before = on.clock
    on.handle_stuck("retry")
    await on.run(Two(script), "x")
    assert on.clock - before >= seconds(3600)
    assert len(told(on, SagaStuck)) == 2


def deaths() -> Iterator[tuple[int, bool]]:
    for at in range(1, 6):
        yield at, False
        yield at, True


@pytest.mark.parametrize(("at", "landed"), list(deaths()))
@pytest.mark.parametrize("how", [refused, another_first], ids=lambda how: how.__name__)
async def test_a_crash_changes_nothing_but_that_more_is_in_doubt(how: Does, at: int, landed: bool) -> None:
    on, script = Simulation(), Script([how, how, nothing])
    on.crash(at, landed)
    played = await on.run(Two(script), "x")
    assert played.state.status == "completed"
    assert len(told(on, StepWaiting)) <= 2


@dataclass(frozen=True)
class Side(Saga[str, str], name="side-by-side"):
    script: Script

    async def run(self, request: str) -> str:
        await self.gather(self.one(), self.other(), self.third())
        return request

    @step(compensation=None)
    async def one(self, call: Call) -> None:
        await self.script.play("one", self.script.attempts, call)

    @step(compensation=None)
    async def other(self, call: Call) -> None:
        await self.script.play("other", self.script.undoing, call)

    @step
    async def third(self, call: Call) -> None:
        self.script.done.append("third")

    @third.compensation
    async def undo_third(self, undo: Undo[None]) -> None:
        self.script.done.append("undo")


async def couriers_refused(call: Call) -> None:
    async with Provider("couriers").call(tells=True):
        raise NoAnswer("no such host")


async def test_steps_side_by_side_wait_for_their_providers_together() -> None:
    on, script = Simulation(), Script([refused, refused, nothing], [*[couriers_refused] * 5, nothing])
    played = await on.run(Side(script), "x")
    assert played.state.status == "completed"
    waits = [event for event in told(on, StepWaiting) if isinstance(event, StepWaiting)]
    assert sorted(wait.provider for wait in waits) == ["couriers", "stock"]
    assert (script.done.count("one"), script.done.count("other"), script.done.count("third")) == (3, 6, 1)


async def test_a_wait_can_be_cancelled() -> None:
    on, script = Simulation(), Script([refused])
    on.cancel("no patience", at=3)
    played = await on.run(Two(script), "x")
    assert played.state.reason == "cancelled: no patience"
    assert "release" not in script.done


async def test_a_person_who_gives_up_a_wait_undoes_nothing_that_was_not_sent() -> None:
    on, script = Simulation(limits=Limits(provider=3600.0)), Script([refused])
    await on.run(Two(script), "x")
    on.handle_stuck("retry")
    on.cancel("no patience")
    played = await on.run(Two(script), "x")
    assert played.state.reason == "cancelled: no patience"
    assert "release" not in script.done


async def test_what_was_sent_stays_in_doubt_after_a_person_has_retried() -> None:
    on, script = Simulation(limits=Limits(provider=3600.0)), Script([another_first])
    await on.run(Two(script), "x")
    on.handle_stuck("retry")
    on.cancel("no patience")
    await on.run(Two(script), "x")
    assert "release" in script.done


@pytest.mark.parametrize("name", [None, "", " ", 5, ["a"], "a\0b", "half \ud800", "x" * 10_000, "\x1b[31m", b"stock"])
async def test_a_gateway_may_call_its_provider_anything(name: Any) -> None:
    async def odd(call: Call) -> None:
        raise ProviderDown(name, name)

    on, script = Simulation(), Script([odd, odd, nothing])
    played = await on.run(Two(script), "x")
    assert played.state.status == "completed"
    (wait,) = (event for event in told(on, StepWaiting) if isinstance(event, StepWaiting))
    assert 1 <= len(wait.provider) <= 100
    assert wait.provider.isprintable()
    assert len(wait.error.message) < 1000


async def test_a_wait_ends_also_if_the_provider_is_another_one_each_time() -> None:
    replicas = iter(range(10_000))

    async def swapped(call: Call) -> None:
        raise ProviderDown(f"stock-{next(replicas)}", "no such host")

    on, began = Simulation(limits=Limits(provider=3600.0)), Simulation().clock
    played = await on.run(Two(Script([swapped])), "x")
    assert played.state.status == "stuck"
    assert on.clock - began < seconds(3700)


@dataclass(frozen=True)
class Pivot(Saga[str, str], name="pivot-in-doubt"):
    script: Script

    async def run(self, request: str) -> str:
        await self.book()
        return request

    @step(pivot=True)
    async def book(self, call: Call) -> None:
        await self.script.play("book", self.script.attempts, call)


async def test_a_pivot_in_doubt_waits_beyond_its_deadline_and_is_not_asked_all_the_time() -> None:
    on, script = Simulation(limits=Limits(provider=3600.0)), Script([another_first])
    on.deadline = on.clock + seconds(10)
    played = await on.run(Pivot(script), "x")
    assert played.state.status == "stuck"
    assert len(script.done) < 20
    assert [wait for wait in told(on, StepWaiting) if isinstance(wait, StepWaiting) and wait.sent]
