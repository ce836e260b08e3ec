"""Book a trip: flight, hotel and car at the same time — or none of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from domain.amends.errors import Refusal
from domain.travel import TripRequest
from workflows.amends.saga import Call, Retry, Saga, Undo, seconds, step

Part = Literal["flight", "hotel", "car"]


class SoldOut(Refusal, name="sold-out"):
    """The {part} {wanted} is sold out."""

    part: str
    wanted: str


@dataclass(frozen=True)
class Booking:
    id: str


@dataclass(frozen=True)
class Trip:
    trip_id: str
    flight: Booking
    hotel: Booking
    car: Booking


class Travel(Protocol):
    async def book(self, part: Part, wanted: str, traveller: str, *, reference: str, key: str) -> Booking: ...
    async def cancel(self, *, of: str, reference: str, key: str) -> None: ...


@dataclass(frozen=True)
class BookTrip(Saga[TripRequest, Trip], name="book-trip", version=1):
    travel: Travel

    def reference(self, request: TripRequest) -> str:
        return request.trip_id

    async def run(self, request: TripRequest) -> Trip:
        flight, hotel, car = await self.gather(
            self.book_flight(request), self.book_hotel(request), self.book_car(request)
        )
        return Trip(request.trip_id, flight, hotel, car)

    @step(retry=Retry(attempts=5), timeout=seconds(10))
    async def book_flight(self, call: Call, request: TripRequest) -> Booking:
        return await self._book(call, request, "flight", request.flight)

    @book_flight.compensation
    async def cancel_flight(self, undo: Undo[Booking], request: TripRequest) -> None:
        await self.travel.cancel(of=undo.of, reference=request.trip_id, key=undo.key)

    @step(retry=Retry(attempts=5), timeout=seconds(10))
    async def book_hotel(self, call: Call, request: TripRequest) -> Booking:
        return await self._book(call, request, "hotel", request.hotel)

    @book_hotel.compensation
    async def cancel_hotel(self, undo: Undo[Booking], request: TripRequest) -> None:
        await self.travel.cancel(of=undo.of, reference=request.trip_id, key=undo.key)

    @step(retry=Retry(attempts=5), timeout=seconds(10))
    async def book_car(self, call: Call, request: TripRequest) -> Booking:
        return await self._book(call, request, "car", request.car)

    @book_car.compensation
    async def cancel_car(self, undo: Undo[Booking], request: TripRequest) -> None:
        await self.travel.cancel(of=undo.of, reference=request.trip_id, key=undo.key)

    async def _book(self, call: Call, request: TripRequest, part: Part, wanted: str) -> Booking:
        return await self.travel.book(part, wanted, request.traveller, reference=request.trip_id, key=call.key)
