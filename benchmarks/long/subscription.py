"""A saga that goes on for years, and a server that has code for it: `python -m benchmarks.long.subscription`."""

from __future__ import annotations

from dataclasses import dataclass

from app.main import serve
from app.settings import read_settings
from workflows.saga import Call, Saga, signal, step

NAME = "subscription"


@signal("renewal")
class Renewal:
    """What it waits for, again and again."""

    number: int


@signal("remark")
class Remark:
    """What it takes too, and never waits for."""

    number: int


@dataclass(frozen=True)
class Charged:
    receipt: str
    amount: int


@dataclass(frozen=True)
class Subscription(Saga[int, int], name=NAME, signals=(Renewal, Remark)):
    """As many steps as it is asked for, then one more for each renewal, for ever."""

    async def run(self, request: int) -> int:
        number = 0
        while number < request or await self.receive(Renewal):
            number += 1
            await self.charge(number)
        return number

    @step(compensation=None)
    async def charge(self, call: Call, number: int) -> Charged:
        return Charged(call.key, 900)


if __name__ == "__main__":
    serve(read_settings(), "127.0.0.1", 0, [Subscription()])
