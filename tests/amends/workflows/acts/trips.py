"""A saga that books a trip, with everything at which an act can be aimed, and drawn faults at each of its points."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from domain.amends.errors import Refusal
from workflows.amends.saga import Call, Retry, Saga, Transaction, Undo, seconds, signal, step, transaction

ONCE = Retry(attempts=1)


class Full(Refusal, name="dry-run-full"):
    """{what} is full."""

    what: str


@signal("dry-run-approved")
class Approved:
    by: str


@dataclass(frozen=True)
class Trip:
    nights: int
    approved: bool = False


@dataclass(eq=False)
class Faults:
    """What fails: steps and compensations by their names, with an error or with a refusal; `called` are those run."""

    errors: set[str] = field(default_factory=set)
    refusals: set[str] = field(default_factory=set)
    called: list[str] = field(default_factory=list)

    def meet(self, name: str) -> None:
        """Call something outside."""
        self.called.append(name)
        if name in self.errors:
            raise RuntimeError(f"{name} is out of order")
        if name in self.refusals:
            raise Full(name)


@dataclass(frozen=True)
class BookInsurance(Saga[int, int], name="dry-run-insurance"):
    """Books an insurance."""

    faults: Faults

    async def run(self, request: int) -> int:
        await self.insure(request)
        return request

    @step(retry=ONCE)
    async def insure(self, call: Call, days: int) -> None:
        self.faults.meet("insure")

    @insure.compensation
    async def end_insurance(self, undo: Undo[None], days: int) -> None:
        self.faults.meet("end_insurance")


@dataclass(frozen=True)
class BookNights(Saga[Trip, str], name="dry-run-trip", signals=(Approved,), children=(BookInsurance,)):
    """Books a trip."""

    faults: Faults

    async def run(self, request: Trip) -> str:
        await self.open_trip(request.nights)
        for night in range(request.nights):
            await self.book_night(night)
        await self.gather(self.book_car(request.nights), self.book_guide(request.nights))
        await self.child(BookInsurance, request.nights)
        if request.approved:
            await self.receive(Approved, timeout=seconds(300))
        await self.sleep(seconds(30))
        ticket = await self.buy_ticket(request.nights)
        await self.send_ticket(ticket)
        return ticket

    @transaction
    async def open_trip(self, tx: Transaction, nights: int) -> None:
        self.faults.meet("open_trip")

    @open_trip.compensation
    async def close_trip(self, tx: Transaction, nights: int) -> None:
        self.faults.meet("close_trip")

    @step(retry=ONCE)
    async def book_night(self, call: Call, night: int) -> int:
        self.faults.meet("book_night")
        return night

    @book_night.compensation(retry=ONCE)
    async def cancel_night(self, undo: Undo[int], night: int) -> None:
        self.faults.meet("cancel_night")

    @step(retry=ONCE)
    async def book_car(self, call: Call, days: int) -> None:
        self.faults.meet("book_car")

    @book_car.compensation(retry=ONCE)
    async def cancel_car(self, undo: Undo[None], days: int) -> None:
        self.faults.meet("cancel_car")

    @step(compensation=None, retry=ONCE)
    async def book_guide(self, call: Call, days: int) -> None:
        self.faults.meet("book_guide")

    @step(pivot=True, retry=ONCE)
    async def buy_ticket(self, call: Call, days: int) -> str:
        self.faults.meet("buy_ticket")
        return "T1"

    @step(compensation=None, retry=ONCE)
    async def send_ticket(self, call: Call, ticket: str) -> None:
        self.faults.meet("send_ticket")


FORWARD = ("open_trip", "book_night", "book_car", "book_guide", "insure", "buy_ticket", "send_ticket")
BACK = ("close_trip", "cancel_night", "cancel_car", "end_insurance")


def drawn_faults(dice: Random) -> Faults:
    """Some faults, of which one is on the way forward as a rule."""
    faults = Faults()
    if dice.random() < 0.8:
        dice.choice((faults.errors, faults.refusals)).add(dice.choice(FORWARD))
    faults.errors |= {name for name in BACK if dice.random() < 0.2}
    return faults
