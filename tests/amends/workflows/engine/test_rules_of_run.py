"""`run` cannot step outside the rules: what has begun is settled, what is misplaced is refused, values are values."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.amends.workflows.engine.hostile import refuses
from workflows.amends.saga import Call, Retry, Saga, Transaction, Undo, seconds, signal, step, transaction
from workflows.amends.simulation.simulation import Simulation, SimulationResult
from workflows.amends.values.limits import Limits


@signal("go")
class Go:
    by: str = "anybody"


Plan = Callable[["Planned"], Awaitable[Any]]


@dataclass(frozen=True)
class Planned(Saga[str, str], name="planned", signals=[Go]):
    """Its `run` is what a test says; `seen` is what really happened, in order."""

    plan: Plan
    seen: list[str] = field(default_factory=list)
    slow: float = 0.0

    async def run(self, request: str) -> str:
        await self.plan(self)
        return "done"

    @step(retry=Retry(attempts=2, first_wait=seconds(0)), timeout=seconds(1))
    async def hold(self, call: Call, what: str) -> str:
        self.seen.append(f"hold {what}")
        try:
            await asyncio.sleep(self.slow)
        except asyncio.CancelledError:
            await asyncio.sleep(0.1)
            self.seen.append(f"held {what} late")
            raise
        self.seen.append(f"held {what}")
        return what

    @hold.compensation
    async def release(self, undo: Undo[str], what: str) -> None:
        self.seen.append(f"release {what}")

    @step(compensation=None)
    async def tell(self, call: Call) -> None:
        self.seen.append("tell")

    @step(pivot=True, retry=Retry(attempts=1), timeout=seconds(1))
    async def ship(self, call: Call) -> None:
        self.seen.append("ship")
        await asyncio.sleep(self.slow)

    @transaction(compensation=None)
    async def fail(self, tx: Transaction) -> None:
        await refuses()


async def play(
    plan: Plan, slow: float = 0.0, simulation: Simulation | None = None, **more: Any
) -> tuple[SimulationResult, list[str]]:
    saga = Planned(plan, [], slow)
    played = await (simulation or Simulation(limits=Limits(between=2.0))).run(saga, "x", **more)
    return played, saga.seen


# -- what has begun is settled


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


# -- what is misplaced is refused


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
    saga.hold("b")


async def forgets_to_sleep(saga: Planned) -> None:
    saga.sleep(seconds(1))


async def forgets_to_gather(saga: Planned) -> None:
    saga.gather(saga.hold("a"), saga.hold("b"))


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


# -- values are values


@dataclass(frozen=True)
class Holding(Saga[str, str], name="holding"):
    """Gives lists to its steps, and changes them."""

    seen: list[Any] = field(default_factory=list)

    async def run(self, request: str) -> str:
        seats = ["1A"]
        call = self.hold(seats)
        seats.append("1B")
        held = await call
        held.append("changed in run")
        await self.refuse()
        return "never"

    @step(retry=Retry(attempts=2, first_wait=seconds(0)))
    async def hold(self, call: Call, seats: list[str]) -> list[str]:
        self.seen.append(("hold", list(seats)))
        seats.append("changed in the step")
        if call.attempt == 1:
            raise ConnectionError
        return ["held"]

    @hold.compensation(retry=Retry(attempts=2, first_wait=seconds(0)))
    async def release(self, undo: Undo[list[str]], seats: list[str]) -> None:
        self.seen.append(("release", list(seats), undo.outcome))
        seats.append("changed on the way back")
        if undo.attempt == 1:
            raise ConnectionError

    @transaction(compensation=None)
    async def refuse(self, tx: Transaction) -> None:
        await refuses()


@pytest.mark.parametrize("crash", [None, 4])
async def test_what_was_recorded_is_what_every_later_reader_gets(crash: int | None) -> None:
    simulation, saga = Simulation(), Holding()
    if crash:
        simulation.crash(at=crash)
    played = await simulation.run(saga, "x")
    assert played.state.status == "compensated"
    assert {str(seen[1]) for seen in saga.seen} == {"['1A']"}
    assert {str(seen[2]) for seen in saga.seen if seen[0] == "release"} == {"Done(value=['held'])"}


def test_a_call_is_made_of_plain_data() -> None:
    given = ["a"]
    call = Holding().hold(given)
    given.append("b")
    assert call.given == [["a"]]
