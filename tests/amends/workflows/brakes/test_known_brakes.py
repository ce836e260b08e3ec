"""What a process knows of brakes is never older than a second: else nothing new begins before it has asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from domain.amends.errors import Unavailable
from workflows.amends.brakes.brake import Brake, BrakePoint, BrakeScope
from workflows.amends.brakes.in_force import BrakesInForce

BRAKE = Brake("b-1", BrakeScope("place-order"), "queue", False, "why", "ann", datetime.now(UTC))
POINT = BrakePoint("place-order", 1, "charge")


@dataclass
class Known:
    """A store, and a clock, by hand."""

    now: float = 100.0
    brakes: tuple[Brake, ...] = ()
    reads: int = 0
    away: bool = False
    takes: float = 0.0
    under_way: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self) -> tuple[Brake, ...]:
        self.reads += 1
        found = self.brakes
        self.now += self.takes
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable(1.0)
        return found


async def test_what_is_younger_than_a_second_is_not_asked_for_again() -> None:
    it = Known()
    brakes = BrakesInForce(it.read, lambda: it.now)
    assert not brakes.are_fresh, "nothing is known before the first look"
    await brakes.refresh()
    assert brakes.are_fresh
    it.now += 0.8
    assert brakes.are_fresh
    it.now += 0.2
    assert not brakes.are_fresh


async def test_the_age_counts_from_the_question_and_not_from_the_answer() -> None:
    it = Known(takes=5.0)
    brakes = BrakesInForce(it.read, lambda: it.now)
    await brakes.refresh()
    assert not brakes.are_fresh


async def test_a_brake_that_is_set_meanwhile_is_found_by_the_next_look() -> None:
    it = Known()
    brakes = BrakesInForce(it.read, lambda: it.now)
    await brakes.refresh()
    it.brakes = (BRAKE,)
    assert brakes.holding(POINT) is None
    it.now += 1.0
    await brakes.refresh()
    assert brakes.holding(POINT) == BRAKE


async def test_of_many_who_ask_at_once_one_reads() -> None:
    it = Known()
    brakes = BrakesInForce(it.read, lambda: it.now)
    await asyncio.gather(*(brakes.refresh() for _ in range(20)))
    assert it.reads == 1


async def test_a_database_that_is_away_leaves_nothing_believed() -> None:
    it = Known(away=True)
    brakes = BrakesInForce(it.read, lambda: it.now)
    with pytest.raises(Unavailable):
        await brakes.refresh()
    assert not brakes.are_fresh


def test_without_a_store_there_are_none() -> None:
    brakes = BrakesInForce()
    assert brakes.are_fresh
    assert brakes.holding(POINT) is None
