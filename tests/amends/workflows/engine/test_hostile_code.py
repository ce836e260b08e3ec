"""Whatever the code of a saga raises, returns or swallows, the saga ends where a list shows it, within its limits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from domain.amends.errors import Refusal
from tests.amends.workflows.engine.hostile import (
    Does,
    Hostile,
    Own,
    Unspeakable,
    cancelled_task,
    cancels_itself,
    nothing,
    raises,
    refuses,
)
from workflows.amends.saga import Saga
from workflows.amends.simulation.simulation import Simulation, SimulationResult
from workflows.amends.values.limits import Limits

ORDINARY: dict[str, Does] = {
    "a cancel of its own": raises(asyncio.CancelledError()),
    "a cancelled task": cancelled_task,
    "a cancel of its own task": cancels_itself,
    "GeneratorExit": raises(GeneratorExit()),
    "a BaseException": raises(Own("mine")),
    "an error that cannot speak": raises(Unspeakable()),
    "StopIteration": raises(StopIteration(1)),
    "TimeoutError": raises(TimeoutError("theirs")),
    "an Exception": raises(ValueError("wrong\nin two lines")),
}
"""Errors like any other."""

EXITS: dict[str, Does] = {
    "SystemExit": raises(SystemExit(3)),
    "KeyboardInterrupt": raises(KeyboardInterrupt()),
}


async def exit_in_a_task() -> None:
    await asyncio.ensure_future(raises(SystemExit(4))())


async def exit_in_a_task_that_nobody_awaits() -> None:
    task: asyncio.Future[None] = asyncio.ensure_future(raises(KeyboardInterrupt())())
    await asyncio.wait({task})


EXITS |= {"SystemExit in a task": exit_in_a_task, "KeyboardInterrupt unawaited": exit_in_a_task_that_nobody_awaits}


@pytest.fixture
async def swallow() -> AsyncIterator[Does]:
    """Goes on, whatever anybody wants, until the test is over."""
    over = asyncio.Event()

    async def goes_on() -> None:
        while not over.is_set():
            try:
                await asyncio.sleep(0.5)
            except asyncio.CancelledError:
                continue

    yield goes_on
    over.set()


async def play(**at: Does) -> tuple[SimulationResult, Hostile]:
    saga = Hostile({place.removesuffix("_"): does for place, does in at.items()})
    return await Simulation(limits=Limits(between=1.0)).run(saga, "x"), saga


def stuck_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("name", ORDINARY)
async def test_in_a_step_it_is_an_attempt_that_failed(name: str) -> None:
    played, saga = await play(call=ORDINARY[name])
    assert played.state.status == "compensated"
    assert saga.done == ["prepare", "call", "call", "call", "undo", "tidy"]
    called = played.state.step("call", 1)
    assert called is not None
    assert called.attempts == 3


@pytest.mark.parametrize("name", ORDINARY)
async def test_in_run_it_is_a_bug(name: str, caplog: pytest.LogCaptureFixture) -> None:
    played, saga = await play(run=ORDINARY[name])
    assert played.state.status == "stuck"
    assert "a bug between the steps" in (played.state.reason or "")
    assert saga.done == ["prepare", "call", "run"]
    assert len(stuck_lines(caplog)) == 1
    assert "\n" not in stuck_lines(caplog)[0]


@pytest.mark.parametrize("name", ORDINARY)
async def test_in_a_transaction_it_is_a_bug_and_nothing_was_done(name: str, caplog: pytest.LogCaptureFixture) -> None:
    played, saga = await play(prepare=ORDINARY[name])
    assert played.state.status == "stuck"
    assert "prepare failed, and did nothing" in (played.state.reason or "")
    assert saga.done == ["prepare"]
    assert len(stuck_lines(caplog)) == 1


@pytest.mark.parametrize("name", ORDINARY)
async def test_in_a_compensation_a_person_is_asked_after_its_attempts(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    played, saga = await play(run=refuses, undo=ORDINARY[name])
    assert played.state.status == "stuck"
    assert saga.done.count("undo") == 5
    assert len(stuck_lines(caplog)) == 1


@pytest.mark.parametrize("name", ORDINARY)
async def test_in_the_compensation_of_a_transaction_a_person_is_asked(name: str) -> None:
    played, saga = await play(run=refuses, tidy=ORDINARY[name])
    assert played.state.status == "stuck"
    assert saga.done.count("tidy") == 1


@pytest.mark.parametrize("place", ["prepare", "call", "run", "undo", "tidy"])
@pytest.mark.parametrize("name", EXITS)
async def test_wanting_to_end_the_process_is_a_bug(name: str, place: str, caplog: pytest.LogCaptureFixture) -> None:
    ends = {"run": refuses} | {place: EXITS[name]}
    played, saga = await play(**ends)
    assert played.state.status == "stuck"
    assert saga.done.count(place) == 1
    assert "SystemExit" in (played.state.reason or "") or "KeyboardInterrupt" in (played.state.reason or "")
    assert len(stuck_lines(caplog)) == 1


@pytest.mark.parametrize("place", ["call", "undo"])
async def test_what_swallows_its_cancellation_is_not_waited_for(place: str, swallow: Does) -> None:
    played, saga = await play(**{"run": refuses} | {place: swallow})
    assert played.state.status == "stuck"
    assert "it swallows its cancellation" in (played.state.reason or "")
    assert saga.done.count(place) == 1


@pytest.mark.parametrize("place", ["prepare", "tidy"])
async def test_a_transaction_that_takes_its_time_did_nothing(place: str, swallow: Does) -> None:
    played, _ = await play(**{"run": refuses} | {place: swallow})
    assert played.state.status == "stuck"
    assert "It took longer than 0.5 s, and did nothing" in (played.state.reason or "")


async def test_a_run_that_waits_for_nothing_of_ours_is_a_bug() -> None:
    played, _ = await play(run=lambda: asyncio.sleep(60))
    assert played.state.status == "stuck"
    assert "run waits for something that is none of its words" in (played.state.reason or "")


async def test_no_answer_in_time_and_a_timeout_of_their_own_are_told_apart() -> None:
    played, _ = await play(call=lambda: asyncio.sleep(60))
    called = played.state.step("call", 1)
    assert called is not None
    assert called.error is not None
    assert called.error.message == "no answer within 0.5 s"
    played, _ = await play(call=raises(TimeoutError()))
    called = played.state.step("call", 1)
    assert called is not None
    assert called.error is not None
    assert called.error.message == "TimeoutError"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (float("nan"), "NaN or infinity"),
        ([float("inf")], "NaN or infinity"),
        ("a\x00b", "U+0000"),
        ({"a\x00": 1}, "U+0000"),
        ("\ud800", "surrogates"),
        (list(range(10_000_000)), "takes more than"),
        ("x" * 3_000_000, "takes more than"),
        (object(), "is not what its annotation says"),
    ],
    ids=["nan", "infinity", "nul", "nul in a name", "half a character", "numbers", "text", "an object"],
)
async def test_a_result_that_cannot_be_kept_is_a_bug(value: Any, says: str) -> None:
    @dataclass(frozen=True)
    class Returning(Saga[str, dict[str, int] | list[float] | float | str], name="returning"):
        async def run(self, request: str) -> dict[str, int] | list[float] | float | str:
            returned: str = value
            return returned

    played = await Simulation().run(Returning(), "x")
    assert played.state.status == "stuck"
    assert says in (played.state.reason or "")


class Loud(Refusal, name="loud-refusal"):
    """Too loud: {sound}."""

    sound: float


class Wordless(Refusal, name="wordless-refusal"):
    """{why.nothing_of_the_sort}"""

    why: str = ""


@pytest.mark.parametrize("place", ["run", "prepare"])
async def test_a_refusal_that_cannot_be_kept_is_a_bug(place: str) -> None:
    played, _ = await play(**{place: raises(Loud(float("nan")))})
    assert played.state.status == "stuck"


async def test_a_refusal_of_a_step_that_cannot_be_kept_is_an_attempt_that_failed() -> None:
    played, saga = await play(call=raises(Loud(float("nan"))))
    assert played.state.status == "compensated"
    assert saga.done.count("call") == 3


async def test_a_refusal_without_words_is_a_refusal() -> None:
    played, saga = await play(call=raises(Wordless()))
    assert played.state.status == "compensated"
    assert saga.done == ["prepare", "call", "tidy"]


async def test_a_task_left_behind_does_not_keep_the_saga() -> None:
    async def leaves() -> None:
        asyncio.create_task(asyncio.sleep(0.1))  # type: ignore[unused-awaitable]  # noqa: RUF006

    played, _ = await play(prepare=leaves, call=leaves, run=leaves)
    assert played.state.status == "completed"


async def test_a_cancel_reaches_a_run_that_hangs() -> None:
    simulation = Simulation(limits=Limits(between=1))
    simulation.cancel("enough", at=2)
    saga = Hostile({"run": lambda: asyncio.sleep(60)})
    played = await simulation.run(saga, "x")
    assert played.state.status == "compensated"
    assert saga.done == ["prepare", "call", "run", "undo", "tidy"]


async def test_good_code_is_good() -> None:
    played, saga = await play(call=nothing)
    assert played.state.status == "completed"
    assert saga.done == ["prepare", "call", "run"]
