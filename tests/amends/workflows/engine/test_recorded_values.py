"""What a step is given and what it returns are values: whoever changes them changes nothing on record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.amends.workflows.engine.hostile import refuses
from workflows.amends.saga import Call, Retry, Saga, Transaction, Undo, seconds, step, transaction
from workflows.amends.simulation.simulation import Simulation


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
        self.seen.append(("release", list(seats), undo.outcome, undo.reason))
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
    assert {seen[3] for seen in saga.seen if seen[0] == "release"} == {played.state.reason}, "why it is compensated"
    assert {str(seen[2]) for seen in saga.seen if seen[0] == "release"} == {"Done(value=['held'])"}


def test_a_call_is_made_of_plain_data() -> None:
    given = ["a"]
    call = Holding().hold(given)
    given.append("b")
    assert call.given == [["a"]]
