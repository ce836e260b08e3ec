"""A saga whose `run` is what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

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
