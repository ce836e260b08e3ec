"""What is wrong with a trip is said before anything is booked, by the name that it was given with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain.amends.errors import Invalid
from domain.travel import GroupTripRequest, Member, TripRequest

ANN, BOB = Member("Ann", "LH1", "Ritz", "Mini"), Member("Bob", "LH1", "Ritz", "Golf")
TRIP = TripRequest("t-1", "Ann", "LH1", "Ritz", "Mini")
GROUP = GroupTripRequest("g-1", (ANN, BOB), "a", "b", 500, "EUR")


def test_a_group_is_a_trip_for_each_member_and_one_payment() -> None:
    assert [(trip.trip_id, trip.car) for trip in GROUP.trips] == [("g-1-1", "Mini"), ("g-1-2", "Golf")]
    assert (GROUP.payment.transfer_id, GROUP.payment.amount) == ("g-1", 500)


@pytest.mark.parametrize(
    ("right", "change", "field"),
    [
        (TRIP, {"trip_id": ""}, "trip_id"),
        (TRIP, {"trip_id": "a/b"}, "trip_id"),
        (TRIP, {"traveller": " "}, "traveller"),
        (TRIP, {"hotel": "x" * 201}, "hotel"),
        (GROUP, {"group_id": "x" * 91}, "group_id"),
        (GROUP, {"members": ()}, "members"),
        (GROUP, {"members": (ANN,) * 51}, "members"),
        (GROUP, {"members": (ANN, replace(BOB, flight=""))}, "members.1.flight"),
        (GROUP, {"price": 0}, "price"),
        (GROUP, {"price": 10**15 + 1}, "price"),
        (GROUP, {"currency": "euro"}, "currency"),
        (GROUP, {"to_account": "a"}, "to_account"),
        (GROUP, {"from_account": ""}, "from_account"),
    ],
)
def test_what_is_wrong_is_named(right: Any, change: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as raised:
        replace(right, **change)
    assert raised.value.field == field
