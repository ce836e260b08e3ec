"""A saga sees in every execution the values that it saw in its first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.amends.errors import Refusal
from tests.amends.harness.values import VALUES, Values
from workflows.amends.saga import Call, Saga, Undo, signal, step
from workflows.amends.simulation.simulation import Simulation
from workflows.amends.values.jsonb_comparison import is_identical


@signal("kept-values-told")
class SagaEvent:
    values: Values


@dataclass(frozen=True)
class Shows(Saga[Values, Values], name="kept-values-shows", signals=[SagaEvent]):
    """Notes whatever it sees. What it makes itself is given to a step that is compensated in the end."""

    made: Values
    seen: list[list[Any]]
    undone: list[Any] = field(default_factory=list)

    async def run(self, request: Values) -> Values:
        self.seen.append([request])
        self.seen[-1].append(await self.give(request))
        told = await self.receive(SagaEvent)
        self.seen[-1].append(told)
        self.seen[-1].append(await self.give(told.values if told else request))
        self.seen[-1].append(await self.give(self.made))
        await self.refuse()
        return request

    @step
    async def give(self, call: Call, values: Values) -> Values:
        return values

    @give.compensation
    async def take_back(self, undo: Undo[Values], values: Values) -> None:
        self.undone.append(values)

    @step(compensation=None)
    async def refuse(self, call: Call) -> None:
        raise NotNow(self.made)


class NotNow(Refusal, name="kept-values-not-now"):
    """Not now."""

    made: Values


@given(values=VALUES, told=VALUES, made=VALUES, crash=st.integers(1, 9))
@settings(max_examples=20, deadline=None)
async def test_a_saga_sees_in_every_life_what_it_saw_in_its_first(
    values: Values, told: Values, made: Values, crash: int
) -> None:
    simulation, saga = Simulation(), Shows(made, [])
    simulation.crash(at=crash)
    played = await simulation.run(saga, values, signals=[SagaEvent(told)])
    assert played.state.status == "compensated"
    whole = max(saga.seen, key=len)
    assert len(whole) == 5
    for life in saga.seen:
        assert all(map(is_identical, life, whole))
    assert is_identical(whole[1], whole[0])
    assert is_identical(whole[2].values, whole[3])
    given = [whole[4], whole[3], whole[1]]
    assert is_identical(saga.undone[0], given[0])
    assert is_identical(saga.undone[-1], given[-1])
    assert all(any(is_identical(undone, each) for each in given) for undone in saga.undone)
