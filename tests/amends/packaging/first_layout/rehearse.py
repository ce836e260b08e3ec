"""A saga as it was written for the first layout, and its rehearsal."""

import asyncio
from dataclasses import dataclass, field

import domain.errors
import workflows.rehearsal as rehearsal
from workflows.rehearsal import Played, Stage
from workflows.saga import (
    Call,  # of a step
    Saga,
    step,
)


class SoldOut(domain.errors.Refusal, name="sold-out"):
    """{seat} is sold out."""

    seat: str


@dataclass(frozen=True)
class BuyTicket(Saga[str, str], name="buy-ticket", version=1):
    sold: list[str] = field(default_factory=list)

    async def run(self, request: str) -> str:
        return await self.reserve(request)

    @step(pivot=True)
    async def reserve(self, call: Call, seat: str) -> str:
        if seat in self.sold:
            raise SoldOut(seat)
        return f"{seat} under {call.key}"


@dataclass(frozen=True)
class BuyTwo(Saga[str, str], name="buy-two", version=1, children=[BuyTicket]):
    async def run(self, request: str) -> str:
        return await self.child(BuyTicket, request)


async def play(saga: Saga[str, str], crash_at: int = 0) -> tuple[Played, Stage]:
    stage = Stage(cast=[BuyTicket()])
    if crash_at:
        stage.crash(at=crash_at)
    return await stage.play(saga, "row 3"), stage


played, stage = asyncio.run(play(BuyTicket(), 1))
assert played.story.status == "completed", f"{played.story.status} of {stage.story()}"
whole = asyncio.run(rehearsal.Stage(cast=[BuyTicket()]).play(BuyTwo(), "row 3")).story
refused, _ = asyncio.run(play(BuyTicket(["row 3"])))
print(f"alone {played.story.status}, as a child {whole.status}, refused {refused.story.status}")
