"""`run` cannot step outside the rules: what is misplaced, forgotten or awaited twice is refused."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.amends.workflows.engine.planned import Go, Plan, Planned, play
from workflows.amends.saga import Call, Retry, Saga, seconds, step
from workflows.amends.simulation.simulation import Simulation


async def by_create_task(saga: Planned) -> None:
    await asyncio.create_task(_awaiting(saga.hold("a")))


async def by_create_task_unseen(saga: Planned) -> None:
    task = asyncio.create_task(_awaiting(saga.hold("a")))
    await asyncio.wait({task})


async def by_gather(saga: Planned) -> None:
    await asyncio.gather(saga.hold("a"), saga.hold("b"))


async def by_gather_of_branches(saga: Planned) -> None:
    async def branch(what: str) -> None:
        await saga.hold(what)
        await saga.hold(what)

    await asyncio.gather(branch("a"), branch("b"), return_exceptions=True)


async def by_task_group(saga: Planned) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_awaiting(saga.hold("a")))


async def by_shield(saga: Planned) -> None:
    await asyncio.shield(saga.hold("a"))


async def by_thread(saga: Planned) -> None:
    await asyncio.to_thread(lambda: asyncio.run(_awaiting(saga.hold("a"))))


async def by_thread_without_a_loop(saga: Planned) -> None:
    def step_by_hand() -> None:
        next(iter(saga.hold("a").__await__()))

    await asyncio.to_thread(step_by_hand)


async def and_waits_for_ever(saga: Planned) -> None:
    queue: asyncio.Queue[str] = asyncio.Queue()

    async def branch() -> None:
        queue.put_nowait(await saga.hold("a"))

    task = asyncio.create_task(branch())
    await queue.get()
    await task


async def by_receive_in_a_task(saga: Planned) -> None:
    await asyncio.create_task(_awaiting(saga.receive(Go)))


async def new_ids_in_a_task(saga: Planned) -> None:
    async def name() -> object:
        return saga.new_id()

    await asyncio.create_task(name())


async def _awaiting(word: Any) -> Any:
    return await word


@pytest.mark.parametrize(
    "plan",
    [
        by_create_task,
        by_create_task_unseen,
        by_gather,
        by_gather_of_branches,
        by_task_group,
        by_shield,
        by_thread,
        by_thread_without_a_loop,
        and_waits_for_ever,
        by_receive_in_a_task,
        new_ids_in_a_task,
    ],
)
async def test_a_word_in_another_task_or_thread_is_refused_before_anything_is_done(plan: Plan) -> None:
    played, seen = await play(plan)
    assert played.state.status == "stuck"
    assert "run's own" in (played.state.reason or "")
    assert seen == []


async def forgets_a_step(saga: Planned) -> None:
    await saga.hold("a")
    saga.hold("b")  # type: ignore[unused-awaitable]


async def forgets_to_sleep(saga: Planned) -> None:
    saga.sleep(seconds(1))  # type: ignore[unused-awaitable]


async def forgets_to_gather(saga: Planned) -> None:
    saga.gather(saga.hold("a"), saga.hold("b"))  # type: ignore[unused-awaitable]


@pytest.mark.parametrize("plan", [forgets_a_step, forgets_to_sleep, forgets_to_gather])
async def test_a_forgotten_await_is_found_at_the_end_of_run(plan: Plan) -> None:
    played, _ = await play(plan)
    assert played.state.status == "stuck"
    assert "never awaited" in (played.state.reason or "")


async def twice(saga: Planned) -> None:
    call = saga.hold("a")
    await call
    await call


async def gathered_twice(saga: Planned) -> None:
    call = saga.hold("a")
    await saga.gather(call, call)


@pytest.mark.parametrize("plan", [twice, gathered_twice])
async def test_a_call_is_awaited_once(plan: Plan) -> None:
    played, _ = await play(plan)
    assert played.state.status == "stuck"
    assert "was awaited before" in (played.state.reason or "")


async def too_long(saga: Planned) -> None:
    await saga.sleep(seconds(1e12))


async def not_a_duration(saga: Planned) -> None:
    await saga.sleep(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("plan", [too_long, not_a_duration])
async def test_a_wait_that_cannot_be_is_a_bug(plan: Plan) -> None:
    played, _ = await play(plan)
    assert played.state.status == "stuck"
    assert "sleep" in (played.state.reason or "")


@dataclass(frozen=True)
class Nesting(Saga[str, str], name="nesting"):
    """Does within a step what belongs into run."""

    how: str
    seen: list[str] = field(default_factory=list)

    async def run(self, request: str) -> str:
        await self.outer()
        return "done"

    @step(compensation=None, retry=Retry(attempts=3, first_wait=seconds(0)))
    async def outer(self, call: Call) -> None:
        self.seen.append("outer")
        if self.how == "step":
            await self.inner()
        elif self.how == "id":
            self.new_id()
        elif self.how == "sleep":
            await self.sleep(seconds(1))
        elif self.how == "gather":
            await self.gather(self.inner(), self.inner())
        self.now()

    @step(compensation=None)
    async def inner(self, call: Call) -> None:
        self.seen.append("inner")


@pytest.mark.parametrize("how", ["step", "id", "sleep", "gather"])
async def test_a_step_inside_a_step_is_refused_at_once(how: str) -> None:
    saga = Nesting(how)
    played = await Simulation().run(saga, "x")
    assert played.state.status == "stuck"
    assert "was called inside outer" in (played.state.reason or "")
    assert saga.seen == ["outer"]


async def test_a_step_may_ask_for_the_time() -> None:
    assert (await Simulation().run(Nesting("now"), "x")).state.status == "completed"


async def leaves_a_task(saga: Planned) -> None:
    task = asyncio.create_task(_awaiting(saga.hold("a")))
    task.add_done_callback(lambda done: done.exception())


async def test_a_step_that_is_left_to_a_task_is_not_lost() -> None:
    played, seen = await play(leaves_a_task)
    assert played.state.status == "stuck"
    assert seen == []
