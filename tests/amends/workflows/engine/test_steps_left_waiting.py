"""What `run` has begun and stops waiting for is settled, and `run` cannot swallow that it ends."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.amends.workflows.engine.planned import Go, Plan, Planned, play
from workflows.amends.simulation.simulation import Simulation
from workflows.amends.values.limits import Limits


async def in_time(saga: Planned) -> None:
    async with asyncio.timeout(0.05):
        await saga.hold("a")


async def shrugged_off(saga: Planned) -> None:
    with contextlib.suppress(TimeoutError):
        await in_time(saga)
    await saga.tell()


async def in_time_at_once(saga: Planned) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await saga.hold("a")


async def cancelled_by_itself(saga: Planned) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_later(0.05, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await saga.hold("a")


@pytest.mark.parametrize("plan", [in_time, shrugged_off, cancelled_by_itself])
async def test_a_step_that_run_stops_waiting_for_is_settled_and_undone(plan: Plan) -> None:
    played, seen = await play(plan, slow=0.5)
    assert played.state.status == "compensated"
    assert seen == ["hold a", "held a late", "release a"]
    held = played.state.step("hold", 1)
    assert held is not None
    assert held.status == "compensated"


async def test_a_time_limit_that_is_over_at_once_leaves_nothing_behind() -> None:
    played, seen = await play(in_time_at_once, slow=0.5)
    assert played.state.status == "compensated"
    assert seen in ([], ["release a"], ["hold a", "held a late", "release a"])


async def both_in_time(saga: Planned) -> None:
    async with asyncio.timeout(0.05):
        await saga.gather(saga.hold("a"), saga.hold("b"))


async def test_several_steps_that_run_stops_waiting_for_are_all_settled() -> None:
    played, seen = await play(both_in_time, slow=0.5)
    assert played.state.status == "compensated"
    assert sorted(seen[:4]) == ["held a late", "held b late", "hold a", "hold b"]
    assert seen[4:] == ["release b", "release a"]


async def ship_in_time(saga: Planned) -> None:
    await saga.hold("a")
    async with asyncio.timeout(0.05):
        await saga.ship()


async def test_a_pivot_that_run_stops_waiting_for_waits_for_a_person() -> None:
    simulation = Simulation(limits=Limits(between=2.0))
    saga = Planned(ship_in_time, [], 0.0)
    slow = Planned(ship_in_time, saga.seen, 0.3)
    played = await simulation.run(slow, "x")
    assert played.state.status == "stuck"
    assert "run stopped waiting for it" in (played.state.reason or "")
    simulation.handle_stuck("retry")
    played = await simulation.run(saga, "x")
    assert played.state.status == "completed"


async def test_what_run_stopped_waiting_for_is_undone_after_a_crash_too() -> None:
    for commit in range(1, 7):
        simulation = Simulation(limits=Limits(between=2.0))
        simulation.crash(at=commit, landed=commit % 2 == 0)
        played, seen = await play(in_time, slow=0.5, simulation=simulation)
        assert played.state.status == "compensated", commit
        assert seen[-1] == "release a", commit
        assert seen.count("release a") <= 2, commit


async def wait_and_tidy(saga: Planned) -> None:
    try:
        await saga.receive(Go)
    finally:
        await saga.tell()


async def test_a_saga_that_waits_does_not_run_what_stands_in_finally() -> None:
    simulation = Simulation()
    saga = Planned(wait_and_tidy)
    played = await simulation.run(saga, "x")
    assert played.state.status == "waiting"
    assert saga.seen == []
    played = await simulation.run(saga, "x", signals=[Go()])
    assert played.state.status == "completed"
    assert saga.seen == ["tell"]


async def swallow_everything(saga: Planned) -> None:
    for _ in range(100):
        with contextlib.suppress(BaseException):
            await saga.hold("a")


async def wait_and_swallow(saga: Planned) -> None:
    with contextlib.suppress(BaseException):
        await saga.receive(Go)
    await saga.tell()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_run_cannot_swallow_that_it_turns_back() -> None:
    simulation = Simulation(limits=Limits(between=2.0))
    simulation.cancel("enough", at=2)
    played, seen = await play(swallow_everything, simulation=simulation)
    assert played.state.status == "compensated"
    assert seen == ["hold a", "held a", "hold a", "held a", "release a", "release a"]


async def test_run_cannot_swallow_that_it_waits() -> None:
    played, seen = await play(wait_and_swallow)
    assert played.state.status == "waiting"
    assert seen == []


async def never_ends(saga: Planned) -> None:
    while True:
        with contextlib.suppress(BaseException):
            await saga.receive(Go)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_run_that_asks_on_for_ever_after_its_end_is_dropped() -> None:
    played, _ = await play(never_ends)
    assert played.state.status == "waiting"
