"""A provider that is down costs no attempts; what was sent all the same is in doubt, and nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from workflows.amends.call import ProviderDown
from workflows.amends.history import CompensationWaiting, SagaStuck, StepRetrying, StepWaiting
from workflows.amends.providers import NoAnswer, Provider
from workflows.amends.saga import Call, Retry, Saga, Undo, seconds, step
from workflows.amends.simulation.simulation import Simulation
from workflows.amends.values.limits import Limits

Does = Callable[[Call], Coroutine[Any, Any, None]]


async def nothing(call: Call) -> None:
    """It has been done."""


@dataclass
class Script:
    """What the first step does at each of its attempts, the last one again and again; and what undoing it does."""

    attempts: list[Does] = field(default_factory=list)
    undoing: list[Does] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    async def play(self, what: str, left: list[Does], call: Call) -> None:
        self.done.append(what)
        if left:
            await (left.pop(0) if len(left) > 1 else left[0])(call)


@dataclass(frozen=True)
class Two(Saga[str, str], name="two"):
    script: Script

    async def run(self, request: str) -> str:
        await self.before()
        await self.hold()
        if request == "fail":
            raise ValueError("a bug")
        return request

    @step
    async def before(self, call: Call) -> None: ...

    @before.compensation
    async def after(self, undo: Undo[None]) -> None:
        self.script.done.append("after")

    @step(retry=Retry(attempts=2), timeout=seconds(0.2))
    async def hold(self, call: Call) -> None:
        await self.script.play("hold", self.script.attempts, call)

    @hold.compensation(retry=Retry(attempts=2), timeout=seconds(0.2))
    async def release(self, undo: Undo[None]) -> None:
        self.script.done.append(type(undo.outcome).__name__)
        await self.script.play("release", self.script.undoing, Call(undo.key))


async def down(call: Call) -> None:
    raise ProviderDown("stock", "connection refused")


async def refused(call: Call) -> None:
    async with Provider("stock").call(tells=True):
        raise NoAnswer("connection refused")


async def broken(call: Call) -> None:
    raise ValueError("500")


async def another_first(call: Call) -> None:
    """Another system is called, and then this one cannot be."""
    async with Provider("couriers").call():
        pass
    await refused(call)


async def another_first_in_its_own_way(call: Call) -> None:
    """The same, by a gateway that uses nothing of ours but the key and the error."""
    assert call.key
    assert call.key
    await down(call)


async def its_own_client_first(call: Call) -> None:
    """A client that goes through no Provider is given the key; what it waits for is not seen."""
    key = call.key
    await asyncio.sleep(0)
    assert key
    await refused(call)


async def its_own_client_first_and_its_own_error(call: Call) -> None:
    key = call.key
    await asyncio.sleep(0)
    assert key
    await down(call)


async def another_beside_it(call: Call) -> None:
    """Of two calls at the same time, one is refused, and the other leaves later."""

    async def later() -> None:
        await asyncio.sleep(0.01)
        async with Provider("couriers").call():
            pass

    left = asyncio.ensure_future(later())
    try:
        await asyncio.gather(left, refused(call))
    finally:
        left.cancel()


async def unanswered_and_then_refused(call: Call) -> None:
    with pytest.raises(NoAnswer):
        async with Provider("couriers").call():
            raise NoAnswer("silence")
    await refused(call)


async def wrapped(call: Call) -> None:
    """A gateway that hides the error behind one of its own."""
    try:
        await refused(call)
    except ProviderDown as error:
        raise ValueError("the stock is not there") from error


async def stuck_connecting(call: Call) -> None:
    """No byte leaves in the time that the step has."""
    async with Provider("stock").call(tells=True):
        await asyncio.sleep(60)


async def key_in_two_headers(call: Call) -> None:
    """The key is read more than once, for one call."""
    assert call.key == call.key
    assert repr(call)
    await refused(call)


async def silent(call: Call) -> None:
    async with Provider("stock").call(tells=True) as sending:
        sending.started()
        await asyncio.sleep(60)


async def elsewhere_by_its_own_client_instead(call: Call) -> None:
    """The other system is called by a client that goes through no Provider."""
    try:
        await refused(call)
    except ProviderDown:
        await asyncio.sleep(0)
        raise ValueError("500") from None


async def elsewhere_at_once(call: Call) -> None:
    """A client that has its answer at once, and no fault of the provider that is down."""
    with pytest.raises(ProviderDown):
        await refused(call)
    raise ValueError("500")


async def limited_by_itself(call: Call) -> None:
    """A gateway with a time limit of its own, that is over while it connects."""
    async with asyncio.timeout(0.01):
        await stuck_connecting(call)


async def elsewhere_instead(call: Call) -> None:
    """A gateway that has two systems to choose from."""
    try:
        await refused(call)
    except ProviderDown:
        async with Provider("other").call():
            raise ValueError("500") from None


NOTHING_SENT = [down, refused, wrapped, stuck_connecting, key_in_two_headers, limited_by_itself]
SENT = [
    another_first,
    another_first_in_its_own_way,
    its_own_client_first,
    its_own_client_first_and_its_own_error,
    another_beside_it,
    unanswered_and_then_refused,
]
ATTEMPTS = [broken, silent, elsewhere_instead, elsewhere_by_its_own_client_instead, elsewhere_at_once]


def told(on: Simulation, kind: type) -> list[object]:
    return [event for _, event in on.history() if isinstance(event, kind)]


@pytest.mark.parametrize("how", [*NOTHING_SENT, *SENT], ids=lambda how: how.__name__)
async def test_a_provider_that_is_down_costs_no_attempt(how: Does) -> None:
    on, script = Simulation(), Script([how] * 9 + [nothing])
    played = await on.run(Two(script), "x")
    assert played.state.status == "completed"
    assert script.done == ["hold"] * 10
    assert not told(on, StepRetrying)
    assert len(told(on, StepWaiting)) == 1, "a wait is told once, however often is asked"


@pytest.mark.parametrize("how", ATTEMPTS, ids=lambda how: how.__name__)
async def test_what_was_sent_and_failed_is_an_attempt(how: Does) -> None:
    on, script = Simulation(), Script([how])
    played = await on.run(Two(script), "x")
    assert played.state.status == "compensated"
    assert script.done == ["hold", "hold", "OutcomeUnknown", "release", "after"]


@pytest.mark.parametrize("how", [*NOTHING_SENT, *SENT], ids=lambda how: how.__name__)
async def test_a_wait_that_ends_in_a_deadline_undoes_what_may_have_been_done_and_nothing_else(how: Does) -> None:
    on, script = Simulation(), Script([how])
    on.deadline = on.clock + seconds(60)
    played = await on.run(Two(script), "x")
    assert played.state.status == "compensated"
    assert "deadline" in (played.state.reason or "")
    undone = ["OutcomeUnknown", "release"] if how in SENT else []
    assert [each for each in script.done if each != "hold"] == [*undone, "after"]


@pytest.mark.parametrize("first", [broken, another_first], ids=lambda how: how.__name__)
async def test_what_was_sent_before_the_provider_went_down_stays_in_doubt(first: Does) -> None:
    on, script = Simulation(), Script([first, refused])
    on.deadline = on.clock + seconds(60)
    await on.run(Two(script), "x")
    assert "release" in script.done


async def test_a_compensation_waits_too_and_costs_no_attempt() -> None:
    on, script = Simulation(), Script([broken], [*[refused] * 9, nothing])
    played = await on.run(Two(script), "x")
    assert played.state.status == "compensated"
    assert script.done.count("release") == 10
    assert len(told(on, CompensationWaiting)) == 1


@pytest.mark.parametrize("fails", ["hold", "release"])
async def test_a_provider_that_stays_away_makes_the_saga_stuck_and_is_named(fails: str) -> None:
    on = Simulation(limits=Limits(provider=3600.0))
    script = Script([refused]) if fails == "hold" else Script([broken], [refused])
    began = on.clock
    played = await on.run(Two(script), "x")
    assert played.state.status == "stuck"
    assert f"{fails} waits for stock since" in (played.state.reason or "")
    assert "connection refused" in (played.state.reason or "")
    assert seconds(3600) <= on.clock - began < seconds(3700)
    on.handle_stuck("retry")
    script.attempts, script.undoing = [nothing], [nothing]
    played = await on.run(Two(script), "x")
    assert played.state.status == ("completed" if fails == "hold" else "compensated")


async def test_a_retry_after_that_waits_anew() -> None:
    on, script = Simulation(limits=Limits(provider=3600.0)), Script([refused])
    await on.run(Two(script), "x")
    before = on.clock
    on.handle_stuck("retry")
    await on.run(Two(script), "x")
    assert on.clock - before >= seconds(3600)
    assert len(told(on, SagaStuck)) == 2


def deaths() -> Iterator[tuple[int, bool]]:
    for at in range(1, 6):
        yield at, False
        yield at, True


@pytest.mark.parametrize(("at", "landed"), list(deaths()))
@pytest.mark.parametrize("how", [refused, another_first], ids=lambda how: how.__name__)
async def test_a_crash_changes_nothing_but_that_more_is_in_doubt(how: Does, at: int, landed: bool) -> None:
    on, script = Simulation(), Script([how, how, nothing])
    on.crash(at, landed)
    played = await on.run(Two(script), "x")
    assert played.state.status == "completed"
    assert len(told(on, StepWaiting)) <= 2


@dataclass(frozen=True)
class Side(Saga[str, str], name="side-by-side"):
    script: Script

    async def run(self, request: str) -> str:
        await self.gather(self.one(), self.other(), self.third())
        return request

    @step(compensation=None)
    async def one(self, call: Call) -> None:
        await self.script.play("one", self.script.attempts, call)

    @step(compensation=None)
    async def other(self, call: Call) -> None:
        await self.script.play("other", self.script.undoing, call)

    @step
    async def third(self, call: Call) -> None:
        self.script.done.append("third")

    @third.compensation
    async def undo_third(self, undo: Undo[None]) -> None:
        self.script.done.append("undo")


async def couriers_refused(call: Call) -> None:
    async with Provider("couriers").call(tells=True):
        raise NoAnswer("no such host")


async def test_steps_side_by_side_wait_for_their_providers_together() -> None:
    on, script = Simulation(), Script([refused, refused, nothing], [*[couriers_refused] * 5, nothing])
    played = await on.run(Side(script), "x")
    assert played.state.status == "completed"
    waits = [event for event in told(on, StepWaiting) if isinstance(event, StepWaiting)]
    assert sorted(wait.provider for wait in waits) == ["couriers", "stock"]
    assert (script.done.count("one"), script.done.count("other"), script.done.count("third")) == (3, 6, 1)


async def test_a_wait_can_be_cancelled() -> None:
    on, script = Simulation(), Script([refused])
    on.cancel("no patience", at=3)
    played = await on.run(Two(script), "x")
    assert played.state.reason == "cancelled: no patience"
    assert "release" not in script.done


async def test_a_person_who_gives_up_a_wait_undoes_nothing_that_was_not_sent() -> None:
    on, script = Simulation(limits=Limits(provider=3600.0)), Script([refused])
    await on.run(Two(script), "x")
    on.handle_stuck("retry")
    on.cancel("no patience")
    played = await on.run(Two(script), "x")
    assert played.state.reason == "cancelled: no patience"
    assert "release" not in script.done


async def test_what_was_sent_stays_in_doubt_after_a_person_has_retried() -> None:
    on, script = Simulation(limits=Limits(provider=3600.0)), Script([another_first])
    await on.run(Two(script), "x")
    on.handle_stuck("retry")
    on.cancel("no patience")
    await on.run(Two(script), "x")
    assert "release" in script.done


@pytest.mark.parametrize("name", [None, "", " ", 5, ["a"], "a\0b", "half \ud800", "x" * 10_000, "\x1b[31m", b"stock"])
async def test_a_gateway_may_call_its_provider_anything(name: Any) -> None:
    async def odd(call: Call) -> None:
        raise ProviderDown(name, name)

    on, script = Simulation(), Script([odd, odd, nothing])
    played = await on.run(Two(script), "x")
    assert played.state.status == "completed"
    (wait,) = (event for event in told(on, StepWaiting) if isinstance(event, StepWaiting))
    assert 1 <= len(wait.provider) <= 100
    assert wait.provider.isprintable()
    assert len(wait.error.message) < 1000


async def test_a_wait_ends_also_if_the_provider_is_another_one_each_time() -> None:
    replicas = iter(range(10_000))

    async def swapped(call: Call) -> None:
        raise ProviderDown(f"stock-{next(replicas)}", "no such host")

    on, began = Simulation(limits=Limits(provider=3600.0)), Simulation().clock
    played = await on.run(Two(Script([swapped])), "x")
    assert played.state.status == "stuck"
    assert on.clock - began < seconds(3700)


@dataclass(frozen=True)
class Pivot(Saga[str, str], name="pivot-in-doubt"):
    script: Script

    async def run(self, request: str) -> str:
        await self.book()
        return request

    @step(pivot=True)
    async def book(self, call: Call) -> None:
        await self.script.play("book", self.script.attempts, call)


async def test_a_pivot_in_doubt_waits_beyond_its_deadline_and_is_not_asked_all_the_time() -> None:
    on, script = Simulation(limits=Limits(provider=3600.0)), Script([another_first])
    on.deadline = on.clock + seconds(10)
    played = await on.run(Pivot(script), "x")
    assert played.state.status == "stuck"
    assert len(script.done) < 20
    assert [wait for wait in told(on, StepWaiting) if isinstance(wait, StepWaiting) and wait.sent]
