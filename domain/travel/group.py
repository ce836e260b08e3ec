"""A group travels together, and one account pays for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from domain.errors import Invalid
from domain.sensitive import PERSONAL
from domain.travel.trip import ID

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
