"""What is retried, what turns back, and what waits for a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest

from domain.amends.errors import Refusal
from tests.example.workflows.fakes import FakeProvider, place_order, request
from workflows.amends.history import CompensationFailed, StepRetrying
from workflows.amends.saga import Call, Retry, Saga, Transaction, Undo, seconds, step, transaction
from workflows.amends.simulation.simulation import Simulation


async def test_a_step_that_fails_is_retried_with_the_same_key() -> None:
    simulation, provider = Simulation(), FakeProvider(failures={"charge": 2})
    played = await simulation.run(place_order(provider), request())
    assert played.state.status == "completed"
    assert provider.calls.count("charge") == 3
    charged = played.state.step("charge_card", 1)
    assert charged is not None
    assert charged.attempts == 3
    assert provider.net == ["book", "charge", "hold"]


async def test_attempts_are_counted_across_crashes() -> None:
    simulation, provider = Simulation(), FakeProvider(failures={"charge": 99})
    simulation.crash(at=4, landed=True)
    played = await simulation.run(place_order(provider), request())
    assert played.executions == 2
    assert played.state.status == "compensated"
    assert provider.calls.count("charge") == 5
    retries = [event.attempts for _, event in simulation.history() if isinstance(event, StepRetrying)]
    assert retries == [1, 2, 3, 4]


async def test_a_step_that_nobody_answered_is_compensated_too() -> None:
    provider = FakeProvider(failures={"charge": 99})
    played = await Simulation().run(place_order(provider), request())
    assert played.state.status == "compensated"
    assert "refund" in provider.calls
    charged = played.state.step("charge_card", 1)
    assert charged is not None
    assert charged.status == "compensated"
    assert len(provider.undone) == 2


async def test_an_action_that_arrives_after_its_compensation_finds_it_undone() -> None:
    provider = FakeProvider(failures={"charge": 99})
    await Simulation().run(place_order(provider), request())
    key = next(key for key in provider.undone if "charge_card" in key)
    provider.failures.clear()
    with pytest.raises(ConnectionError, match="undone"):
        await provider.charge("tok_ok", request().total, reference="4711", key=key)
    assert provider.net == []


async def test_a_compensation_that_keeps_failing_waits_for_a_person() -> None:
    simulation, provider = Simulation(), FakeProvider(failures={"refund": 5})
    played = await simulation.run(place_order(provider), request(postcode="00000"))
    assert played.state.status == "stuck"
    assert played.state.reason == "refund_card failed 5 times, lastly with: refund is down"
    assert provider.calls.count("refund") == 5
    assert sum(isinstance(event, CompensationFailed) for _, event in simulation.history()) == 4
    charged = played.state.step("charge_card", 1)
    assert charged is not None
    assert charged.compensation is not None
    assert charged.compensation.status == "failed"


async def test_a_stuck_compensation_goes_through_when_it_is_retried() -> None:
    simulation, provider = Simulation(), FakeProvider(failures={"refund": 5})
    await simulation.run(place_order(provider), request(postcode="00000"))
    simulation.handle_stuck("retry")
    played = await simulation.run(place_order(provider), request(postcode="00000"))
    assert played.state.status == "compensated"
    assert provider.net == []


@pytest.mark.parametrize(("act", "status"), [("skip", "skipped"), ("resolve", "resolved")])
async def test_a_stuck_compensation_can_be_skipped_or_resolved(act: str, status: str) -> None:
    simulation, provider = Simulation(), FakeProvider(failures={"refund": 99})
    await simulation.run(place_order(provider), request(postcode="00000"))
    simulation.handle_stuck(act)  # type: ignore[arg-type]
    played = await simulation.run(place_order(provider), request(postcode="00000"))
    assert played.state.status == "compensated"
    charged = played.state.step("charge_card", 1)
    assert charged is not None
    assert charged.compensation is not None
    assert charged.compensation.status == status
    assert provider.net == ["charge"]


async def test_a_compensation_stuck_again_asks_again() -> None:
    simulation, provider = Simulation(), FakeProvider(failures={"refund": 10})
    await simulation.run(place_order(provider), request(postcode="00000"))
    simulation.handle_stuck("retry")
    assert (await simulation.run(place_order(provider), request(postcode="00000"))).state.status == "stuck"
    simulation.handle_stuck("retry")
    assert (await simulation.run(place_order(provider), request(postcode="00000"))).state.status == "compensated"
    assert provider.calls.count("refund") == 11


async def test_a_pivot_that_nobody_answered_waits_for_a_person_and_is_asked_again() -> None:
    simulation, provider = Simulation(), FakeProvider(failures={"book": 10})
    played = await simulation.run(place_order(provider), request())
    assert played.state.status == "stuck"
    assert provider.calls.count("book") == 10
    simulation.handle_stuck("retry")
    played = await simulation.run(place_order(provider), request())
    assert played.state.status == "completed"
    assert provider.net == ["book", "charge", "hold"]


async def test_a_skipped_pivot_turns_back() -> None:
    simulation, provider = Simulation(), FakeProvider(failures={"book": 99})
    await simulation.run(place_order(provider), request())
    simulation.handle_stuck("skip", "the courier says that they have nothing")
    played = await simulation.run(place_order(provider), request())
    assert played.state.status == "compensated"
    assert provider.net == []


async def test_a_pivot_is_resolved_with_its_result() -> None:
    simulation, provider = Simulation(), FakeProvider(failures={"book": 99})
    await simulation.run(place_order(provider), request())
    simulation.handle_stuck("resolve", "they have it, by phone")
    played = await simulation.run(place_order(provider), request())
    assert played.state.status == "stuck"
    assert "must have a result" in (played.state.reason or "")
    simulation.handle_stuck("resolve", "they have it, by phone", {"id": "by-phone"})
    played = await simulation.run(place_order(provider), request())
    assert played.state.status == "completed"
    assert played.result["parcel_id"] == "by-phone"


class TooLate(Refusal, name="too-late"):
    """Too late."""


@dataclass(frozen=True)
class Fragile(Saga[str, str], name="fragile"):
    """Does what its input says, after the pivot if it begins with 'after'."""

    wrong: list[str]

    async def run(self, request: str) -> str:
        await self.prepare()
        if request.startswith("after"):
            await self.commit_to_it()
        if "refuse" in request:
            await self.refuse()
        if "bug" in request:
            await self.decide(request)
        if "between" in request and self.wrong:
            raise KeyError("between")
        try:
            if "caught" in request:
                await self.refuse()
        except TooLate:
            return "another way"
        return "done"

    @transaction(compensation=None)
    async def prepare(self, tx: Transaction) -> None: ...

    @step(pivot=True)
    async def commit_to_it(self, call: Call) -> None: ...

    @step(compensation=None)
    async def refuse(self, call: Call) -> None:
        raise TooLate

    @transaction(compensation=None)
    async def decide(self, tx: Transaction, request: str) -> str:
        if self.wrong:
            raise KeyError(self.wrong[0])
        return request


async def test_a_refusal_may_be_caught_and_another_way_be_taken() -> None:
    played = await Simulation().run(Fragile([]), "caught")
    assert played.result == "another way"


async def test_a_caught_refusal_is_the_same_after_a_crash() -> None:
    simulation = Simulation()
    simulation.crash(at=3)
    played = await simulation.run(Fragile([]), "caught")
    assert (played.executions, played.result) == (2, "another way")


async def test_a_refusal_after_the_pivot_waits_for_a_person_at_once() -> None:
    simulation = Simulation()
    played = await simulation.run(Fragile([]), "after refuse")
    assert played.state.status == "stuck"
    assert played.state.reason == "refuse was refused: Too late."
    simulation.handle_stuck("skip")
    assert (await simulation.run(Fragile([]), "after refuse")).result == "done"


@pytest.mark.parametrize("request_", ["bug", "after bug"])
async def test_a_bug_in_a_decision_is_stuck_and_goes_on_once_it_is_mended(request_: str) -> None:
    simulation = Simulation()
    played = await simulation.run(Fragile(["oops"]), request_)
    assert played.state.status == "stuck"
    assert "decide failed, and did nothing: KeyError('oops')" in (played.state.reason or "")
    simulation.handle_stuck("retry")
    assert (await simulation.run(Fragile([]), request_)).result == "done"


async def test_a_bug_between_the_steps_is_stuck_and_goes_on_once_it_is_mended() -> None:
    simulation = Simulation()
    assert (await simulation.run(Fragile(["oops"]), "between")).state.status == "stuck"
    simulation.handle_stuck("retry")
    assert (await simulation.run(Fragile(["oops"]), "between")).state.status == "stuck"
    simulation.handle_stuck("retry")
    assert (await simulation.run(Fragile([]), "between")).result == "done"


async def test_a_bug_between_the_steps_can_be_given_up_or_resolved() -> None:
    simulation = Simulation()
    await simulation.run(Fragile(["oops"]), "between")
    simulation.handle_stuck("skip")
    assert (await simulation.run(Fragile(["oops"]), "between")).state.status == "compensated"
    simulation = Simulation()
    await simulation.run(Fragile(["oops"]), "after between")
    simulation.handle_stuck("resolve", "by hand", "by hand")
    played = await simulation.run(Fragile(["oops"]), "after between")
    assert (played.state.status, played.result) == ("completed", "by hand")


@dataclass(frozen=True)
class Slow(Saga[str, str], name="slow"):
    async def run(self, request: str) -> str:
        return await self.wait_for_it(request)

    @step(timeout=timedelta(milliseconds=5), retry=Retry(attempts=2, first_wait=seconds(60)))
    async def wait_for_it(self, call: Call, request: str) -> str:
        import asyncio

        if call.attempt == 1 or request == "never":
            await asyncio.sleep(60)
        return request

    @wait_for_it.compensation
    async def forget_it(self, undo: Undo[str], request: str) -> None: ...


async def test_an_attempt_that_takes_too_long_is_given_up_and_made_again() -> None:
    simulation = Simulation()
    began = simulation.clock
    played = await simulation.run(Slow(), "later")
    assert played.result == "later"
    assert simulation.clock - began > timedelta(seconds=25)


async def test_a_step_whose_every_attempt_takes_too_long_is_compensated() -> None:
    played = await Simulation().run(Slow(), "never")
    assert played.state.status == "compensated"
    assert played.state.reason == "wait_for_it: no answer within 0.005 s"
