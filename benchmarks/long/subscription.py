"""A saga that goes on for years, and a server that has code for it: `python -m benchmarks.long.subscription`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.amends.server.serve import serve
from app.amends.service import Parts, Service
from app.amends.settings import Settings, read_settings
from workflows.amends.saga import Call, Saga, signal, step

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
    own = Service(root=Path(__file__).parents[2], build=lambda host: Parts(sagas=[Subscription()]), settings=Settings)
    serve(own, read_settings(own.settings, own.root), "127.0.0.1", 0)
