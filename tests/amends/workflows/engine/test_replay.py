"""A later life does what the earlier ones recorded, or says that it cannot."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import pytest

from domain.amends.errors import Refusal
from workflows.amends.saga import Call, NotInSaga, Saga, step
from workflows.amends.simulation.simulation import Simulation

SEEN: list[tuple[datetime, UUID]] = []


class Full(Refusal, name="full"):
    """Full."""


@dataclass(frozen=True)
class Clock(Saga[int, str], name="clock"):
    """Looks at the clock and draws ids between its steps."""

    async def run(self, request: int) -> str:
        SEEN.clear()
        for _ in range(request):
            await self.tick()
            SEEN.append((self.now(), self.new_id()))
        return "ticked"

    @step(compensation=None)
    async def tick(self, call: Call) -> str:
        return call.key


async def test_time_and_ids_are_the_same_in_every_life() -> None:
    simulation = Simulation()
    await simulation.run(Clock(), 4, "undisturbed")
    undisturbed = list(SEEN)
    assert len({id for _, id in undisturbed}) == 4
    crashed = Simulation()
    crashed.crash(at=4)
    await crashed.run(Clock(), 4, "undisturbed")
    assert list(SEEN) == undisturbed


async def test_a_step_done_twice_has_two_keys() -> None:
    simulation = Simulation()
    played = await simulation.run(Clock(), 2)
    assert [(step.name, step.occurrence) for step in played.state.steps] == [("tick", 1), ("tick", 2)]
    outputs = [checkpoint.output for checkpoint in simulation.checkpoints() if checkpoint.step_id < 3]
    assert outputs == ['"simulated.tick.1.0"', '"simulated.tick.2.0"']


def test_time_outside_a_saga_is_refused() -> None:
    with pytest.raises(NotInSaga, match="works only inside a running saga"):
        Clock().now()


async def test_a_step_outside_a_saga_is_refused() -> None:
    with pytest.raises(NotInSaga):
        await Clock().tick()


@dataclass(frozen=True)
class Changed(Saga[str, str], name="changed"):
    """Another code each time, as after a deployment that forgot the version."""

    code: str

    async def run(self, request: str) -> str:
        if self.code == "other step":
            await self.other(request)
        elif self.code == "other arguments":
            await self.first("something else")
        else:
            await self.first(request)
        if self.code == "fewer steps":
            return "early"
        return await self.second()

    @step(compensation=None)
    async def first(self, call: Call, request: str) -> str:
        return request

    @step(compensation=None)
    async def other(self, call: Call, request: str) -> str:
        return request

    @step(compensation=None)
    async def second(self, call: Call) -> str:
        return "second"


@pytest.mark.parametrize(
    ("code", "at", "says"),
    [
        ("other step", 2, "step 1 is recorded as first, but the code here does other"),
        ("other arguments", 2, "step 1, first, is recorded with other arguments"),
        ("fewer steps", 3, "step 2 is recorded as second, but the code here does complete"),
    ],
)
async def test_a_recording_that_no_longer_fits_waits_for_fitting_code(
    code: str, at: int, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    simulation = Simulation()
    simulation.crash(at=at)
    played = await simulation.run(_Twice(Changed("as it was"), Changed(code)).next, "x")
    assert played.state.status == "stranded"
    assert says in (played.state.reason or "")
    assert f"is stranded: {played.state.reason}" in caplog.text, "a person must act"
    played = await simulation.run(Changed("as it was"), "x")
    assert (played.state.status, played.result) == ("completed", "second")


class _Twice:
    """Hands out one saga for the first life and another for all others."""

    def __init__(self, first: Changed, then: Changed) -> None:
        self._sagas = [first, then]

    def next(self) -> Changed:
        return self._sagas.pop(0) if len(self._sagas) > 1 else self._sagas[0]
