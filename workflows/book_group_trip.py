"""Book a trip for a whole group, and pay for it: everybody travels, or nobody does."""

from __future__ import annotations

from dataclasses import dataclass

from domain.travel import GroupTripRequest
from workflows.amends.saga import Saga
from workflows.book_trip import BookTrip, Trip
from workflows.transfer_money import TransferMoney


@dataclass(frozen=True)
class GroupTrip:
    group_id: str
    trips: tuple[Trip, ...]
    approved_by: str | None


@dataclass(frozen=True)
class BookGroupTrip(
    Saga[GroupTripRequest, GroupTrip], name="book-group-trip", version=1, children=(BookTrip, TransferMoney)
):
    def reference(self, request: GroupTripRequest) -> str:
        return request.group_id

    async def run(self, request: GroupTripRequest) -> GroupTrip:
        trips = await self.gather(*(self.child(BookTrip, trip) for trip in request.trips))
        paid = await self.child(TransferMoney, request.payment)
        return GroupTrip(request.group_id, trips, paid.approved_by)
