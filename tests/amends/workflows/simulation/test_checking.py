"""What a team's own check of a saga says of one that goes wrong, and what it does not say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import pytest

from workflows.amends.saga import Call, Saga, Undo, step
from workflows.amends.simulation import History, check
from workflows.amends.simulation.checking import NOTES


class Shop(Protocol):
    async def hold(self, *, key: str) -> None: ...
    async def release(self, *, of: str, key: str) -> None: ...


@dataclass
class FakeShop:
    held: set[str] = field(default_factory=set[str])
    released: set[str] = field(default_factory=set[str])

    async def hold(self, *, key: str) -> None:
        if key not in self.released:
            self.held.add(key)

    async def release(self, *, of: str, key: str) -> None:
        self.released.add(of)
        self.held.discard(of)


@dataclass(frozen=True)
class Buy(Saga[str, None], name="buy"):
    shop: Shop

    async def run(self, request: str) -> None:
        await self.hold(request)

    @step
    async def hold(self, call: Call, request: str) -> None:
        await self.shop.hold(key=call.key)

    @hold.compensation
    async def release(self, undo: Undo[None], request: str) -> None:
        await self.shop.release(of=undo.of, key=undo.key)


def test_what_is_asserted_and_does_not_hold_is_said_once_with_its_seed_and_without_logs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def never_undone(history: History) -> None:
        assert history.state.status == "completed", "it was undone"

    check(lambda: Buy(FakeShop()), "x", seeds=3)
    with pytest.raises(AssertionError) as found:
        check(lambda: Buy(FakeShop()), "x", then=never_undone)
    told = str(found.value).splitlines()
    assert told[0] == "what is asserted of it does not hold: it was undone"
    assert sum(line.startswith("It happened with seed ") for line in told) == 1
    assert told[-1].startswith("The same again: check(…, first=")
    assert len(told) <= NOTES + 5
    assert caplog.text == ""
