"""A group travels together, and one account pays for all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

from domain.amends.errors import Invalid
from domain.amends.sensitive import PERSONAL
from domain.banking import TransferRequest
from domain.travel.trip import ID, TripRequest

MOST = 50


@dataclass(frozen=True)
class Member:
    """Who travels, and with what."""

    traveller: Annotated[str, PERSONAL]
    flight: str
    hotel: str
    car: str


@dataclass(frozen=True)
class GroupTripRequest:
    """Who travels together, and which account pays which other one for it; the price is in minor units."""

    group_id: str
    members: tuple[Member, ...]
    from_account: str
    to_account: str
    price: int
    currency: str

    def __post_init__(self) -> None:
        if not ID.fullmatch(self.group_id) or len(self.group_id) > 90:
            raise Invalid("group_id", "must be 1 to 90 letters, digits or . _ : -")
        if not 1 <= len(self.members) <= MOST:
            raise Invalid("members", f"must be 1 to {MOST}, but there are {len(self.members)}")
        for number in range(len(self.members)):
            with _named(f"members.{number}.{{}}"):
                self._trip(number)
        with _named("{}", amount="price"):
            _ = self.payment

    @property
    def trips(self) -> tuple[TripRequest, ...]:
        """What is booked: a trip for each member."""
        return tuple(self._trip(number) for number in range(len(self.members)))

    @property
    def payment(self) -> TransferRequest:
        """What is paid for all of them."""
        return TransferRequest(self.group_id, self.from_account, self.to_account, self.price, self.currency)

    def _trip(self, number: int) -> TripRequest:
        member = self.members[number]
        return TripRequest(f"{self.group_id}-{number + 1}", member.traveller, member.flight, member.hotel, member.car)


@contextmanager
def _named(form: str, **names: str) -> Iterator[None]:
    """What is wrong in a part is told by the name that it has in the whole."""
    try:
        yield
    except Invalid as wrong:
        raise Invalid(form.format(names.get(wrong.field, wrong.field)), wrong.problem) from wrong
