"""What the code of a transaction asks for is done one after the other, all of each or nothing, and never forgotten."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from domain.amends.aggregate import Aggregate
from domain.amends.errors import Refusal
from domain.amends.event import event
from workflows.amends.saga import Saga, Transaction, seconds, transaction
from workflows.amends.simulation.simulation import Simulation, SimulationResult
from workflows.amends.values.limits import Limits


@event("purse-filled")
class PurseFilled:
    amount: int


@event("purse-emptied")
class PurseEmptied:
    amount: float


class TooLittle(Refusal, name="purse-too-little"):
    """There are only {left}."""

    left: float


Purse = PurseFilled | PurseEmptied


def evolve(left: float, event: Purse) -> float:
    if event.amount == 13:
        raise RuntimeError("an unlucky number")
    return left + (event.amount if isinstance(event, PurseFilled) else -event.amount)


purses = Aggregate("purse", 100.0, evolve)


def take(left: float, *amounts: float) -> Iterable[Purse]:
    for amount in amounts:
        if amount > left:
            raise TooLittle(left)
        yield PurseEmptied(amount)


Does = Callable[[Transaction], Awaitable[Any]]


@dataclass(frozen=True)
class Spend(Saga[str, str], name="spend"):
    does: Does

    async def run(self, request: str) -> str:
        await self.spend()
        return request

    @transaction(compensation=None, timeout=seconds(2))
    async def spend(self, tx: Transaction) -> None:
        await self.does(tx)


async def play(does: Does, limits: Limits = Limits()) -> tuple[SimulationResult, list[float], str]:
    simulation = Simulation(limits=limits)
    played = await simulation.run(Spend(does), "x")
    return played, [event.amount for event in simulation.events(purses, "mine")], played.state.reason or ""


async def test_two_decisions_at_once_are_made_one_after_the_other() -> None:
    async def twice(tx: Transaction) -> None:
        await asyncio.gather(*(tx.decide(purses, "mine", take, 60) for _ in range(2)))

    played, spent, reason = await play(twice)
    assert (played.state.status, spent) == ("compensated", [])
    assert "only 40" in reason


async def test_several_at_once_see_each_other() -> None:
    async def five_times(tx: Transaction) -> None:
        left = await asyncio.gather(*(tx.decide(purses, "mine", take, 20) for _ in range(5)))
        assert left == [80, 60, 40, 20, 0]

    played, spent, _ = await play(five_times)
    assert (played.state.status, spent) == ("completed", [20] * 5)


async def forgotten(tx: Transaction) -> None:
    tx.decide(purses, "mine", take, 60)  # type: ignore[unused-awaitable]


async def forgotten_sql(tx: Transaction) -> None:
    await tx.decide(purses, "mine", take, 60)
    tx.execute("select 1")  # type: ignore[unused-awaitable]


async def left_to_a_task(tx: Transaction) -> None:
    task = asyncio.ensure_future(tx.decide(purses, "mine", take, 60))
    assert not task.done()


async def left_in_the_middle(tx: Transaction) -> None:
    task = asyncio.ensure_future(tx.decide(purses, "mine", take, 60))
    await asyncio.wait({task}, timeout=0)


@pytest.mark.parametrize("does", [forgotten, forgotten_sql, left_to_a_task])
async def test_what_is_not_awaited_is_a_bug_and_nothing_is_written(does: Does) -> None:
    played, spent, reason = await play(does)
    assert (played.state.status, spent) == ("stuck", [])
    assert "await" in reason


async def test_what_ends_in_a_task_of_its_own_is_either_done_or_a_bug() -> None:
    played, spent, _ = await play(left_in_the_middle)
    assert (played.state.status, spent) in (("stuck", []), ("completed", [60]))


@pytest.mark.parametrize("amounts", [(1, float("nan")), (1, 13), (1, 200)])
async def test_a_decision_that_fails_leaves_nothing_behind_though_its_error_is_swallowed(amounts: Any) -> None:
    async def swallows(tx: Transaction) -> None:
        with contextlib.suppress(Exception):
            await tx.decide(purses, "mine", take, *amounts)
        await tx.decide(purses, "mine", take, 2)

    played, spent, _ = await play(swallows)
    assert (played.state.status, spent) == ("completed", [2])


async def test_what_is_too_large_leaves_nothing_behind_though_its_error_is_swallowed() -> None:
    async def swallows(tx: Transaction) -> None:
        with contextlib.suppress(Exception):
            await tx.decide(purses, "mine", take, *[0.01] * 2000)
        await tx.decide(purses, "mine", take, 2)

    played, spent, _ = await play(swallows, Limits(commit=10_000))
    assert (played.state.status, spent) == ("completed", [2])
