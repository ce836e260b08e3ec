"""A saga that blocked event loops twice asks a person before it goes on, also before it is completed."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from domain.amends.event import Cause
from workflows.amends.history import EventLoopBlocked, OperatorAction, saga_histories
from workflows.amends.ports.event_store import new_amends_event
from workflows.amends.saga import Call, Saga, Undo, step
from workflows.amends.simulation.simulation import Simulation, SimulationResult


@dataclass(frozen=True)
class Blocks(Saga[int, str], name="blocks"):
    """Does so many steps, the last of which blocks the event loop: the stage is told so."""

    simulation: Simulation
    done: list[str] = field(default_factory=list)

    async def run(self, request: int) -> str:
        for number in range(1, request + 1):
            await self.work(number, number == request)
        return "by itself"

    @step
    async def work(self, call: Call, number: int, blocks: bool) -> None:
        self.done.append(f"work {number}")
        if blocks:
            block(self.simulation)

    @work.compensation
    async def undo(self, undo: Undo[None], number: int, blocks: bool) -> None:
        self.done.append(f"undo {number}")


def block(simulation: Simulation) -> None:
    told = EventLoopBlocked("work", 6.0, "executor", 'File "work.py", line 7 in work')
    simulation.store.events.write(
        [new_amends_event(saga_histories.stream("simulated"), told, Cause()) for _ in range(2)]
    )


async def blocked(steps: int) -> tuple[Simulation, Blocks, SimulationResult]:
    """A saga whose executor died just after its last step had blocked for the second time, and was recorded."""
    simulation = Simulation()
    saga = Blocks(simulation)
    simulation.crash(at=steps, landed=True)
    return simulation, saga, await simulation.run(saga, steps)


@pytest.mark.parametrize("steps", [1, 3])
async def test_it_is_stuck_with_that_reason_though_everything_is_done(steps: int) -> None:
    _, saga, played = await blocked(steps)
    assert played.state.status == "stuck"
    assert "blocked the event loop" in (played.state.reason or "")
    assert "not the first time" in (played.state.reason or "")
    assert saga.done == [f"work {number}" for number in range(1, steps + 1)]


@pytest.mark.parametrize(
    ("act", "status", "result"),
    [("retry", "completed", "by itself"), ("resolve", "completed", "by hand"), ("skip", "compensated", None)],
)
async def test_a_person_decides_how_it_goes_on(act: OperatorAction, status: str, result: str | None) -> None:
    simulation, saga, _ = await blocked(2)
    simulation.handle_stuck(act, "looked at", "by hand" if act == "resolve" else None)
    played = await simulation.run(saga, 2)
    assert (played.state.status, played.state.result) == (status, result)
    assert saga.done[2:] == (["undo 2", "undo 1"] if act == "skip" else [])


async def test_it_is_stuck_before_the_next_step() -> None:
    simulation = Simulation()
    saga = Blocks(simulation)
    simulation.start(saga, 2)
    block(simulation)
    played = await simulation.run(saga, 2)
    assert played.state.status == "stuck"
    assert saga.done == []
