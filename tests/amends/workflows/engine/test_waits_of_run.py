"""What `run` waits for besides its words is waited for as in any task of asyncio, whenever a cancel comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.amends.saga import Call, Saga, Undo, step
from workflows.amends.simulation.simulation import Simulation

Log = list[str]
Do = Callable[[int], Awaitable[int]]
SOON = 0.002


def shielded() -> Awaitable[Any]:
    return asyncio.shield(asyncio.ensure_future(asyncio.sleep(SOON, "late")))


def several() -> Awaitable[Any]:
    return asyncio.gather(asyncio.sleep(SOON), asyncio.sleep(SOON))


WAITS: dict[str, Callable[[], Awaitable[Any]]] = {
    "shield": shielded,
    "gather": several,
    "queue": lambda: asyncio.Queue[int]().get(),
    "event": lambda: asyncio.Event().wait(),
    "sleep": lambda: asyncio.sleep(SOON),
    "group": lambda: _in_group(),
}


async def _in_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(SOON))
        group.create_task(asyncio.sleep(SOON))


async def limited(wait: str, log: Log) -> None:
    try:
        async with asyncio.timeout(0):
            await WAITS[wait]()
            log.append(f"{wait} came")
    except TimeoutError:
        log.append(f"{wait} took too long")


async def limited_before(wait: str, log: Log) -> None:
    try:
        async with asyncio.timeout_at(asyncio.get_running_loop().time() - 1):
            await WAITS[wait]()
            log.append(f"{wait} came")
    except TimeoutError:
        log.append(f"{wait} took too long")


async def cancelled(wait: str, log: Log) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    try:
        await WAITS[wait]()
        log.append(f"{wait} came")
    except asyncio.CancelledError:
        task.uncancel()
        log.append(f"{wait} was cancelled")


async def patient(wait: str, log: Log) -> None:
    if wait not in ("queue", "event"):
        await WAITS[wait]()
    log.append(f"{wait} came")


HOW = {"limited": limited, "limited before": limited_before, "cancelled": cancelled, "patient": patient}
Plan = list[str | tuple[str, str]]
PLANS = st.lists(
    st.just("step") | st.just("turn") | st.tuples(st.sampled_from([*HOW]), st.sampled_from([*WAITS])), max_size=7
)


async def play(plan: Plan, do: Do) -> Log:
    log: Log = []
    for number, what in enumerate(plan):
        if what == "step":
            log.append(f"{await do(number)} is done")
        elif what == "turn":
            await asyncio.sleep(0)
        elif isinstance(what, tuple):
            how, wait = what
            await HOW[how](wait, log)
    return log


@dataclass(frozen=True)
class Waits(Saga[str, list[str]], name="waits"):
    plan: Plan
    done: list[int] = field(default_factory=list)

    async def run(self, request: str) -> list[str]:
        return await play(self.plan, self.do)

    @step
    async def do(self, call: Call, number: int) -> int:
        await asyncio.sleep(2 * SOON)
        self.done.append(number)
        return number

    @do.compensation
    async def undo(self, undo: Undo[int], number: int) -> None:
        self.done.append(-number)


async def plainly(number: int) -> int:
    return number


async def the_same(plan: Plan, crash: int | None = None) -> None:
    saga, simulation = Waits(plan), Simulation()
    if crash is not None:
        simulation.crash(at=crash)
    played = await simulation.run(saga, "x")
    expected = await asyncio.create_task(play(plan, plainly))
    assert (played.state.status, played.result) == ("completed", expected)
    assert sorted(set(saga.done)) == [number for number, what in enumerate(plan) if what == "step"]


@given(PLANS)
@settings(max_examples=60, deadline=None)
def test_run_waits_as_any_task_does(plan: Plan) -> None:
    asyncio.run(the_same(plan))


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("wait", WAITS)
async def test_nothing_that_was_waited_for_is_taken_for_the_answer_to_a_step(how: str, wait: str) -> None:
    for before in (["step"], []):
        await the_same([*before, (how, wait), "step", "turn", "step", "step"])


async def test_nor_is_it_after_a_crash() -> None:
    await the_same(["step", ("limited", "shield"), "step", "step", "step"], crash=3)
