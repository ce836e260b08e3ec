"""A saga that does what a script says, and the ways in which a provider is down, or fails after something was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from workflows.amends.call import ProviderDown
from workflows.amends.providers import NoAnswer, Provider
from workflows.amends.saga import Call, Retry, Saga, Undo, seconds, step

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
