"""A trip is a flight, a hotel and a car, and only all three together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from domain.amends.errors import Invalid
from domain.amends.sensitive import PERSONAL

ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")


@dataclass(frozen=True)
class TripRequest:
    """Who wants to travel, and with what."""

    trip_id: str
    traveller: Annotated[str, PERSONAL]
    flight: str
    hotel: str
    car: str

    def __post_init__(self) -> None:
        if not ID.fullmatch(self.trip_id):
            raise Invalid("trip_id", "must be 1 to 100 letters, digits or . _ : -")
        for field in ("traveller", "flight", "hotel", "car"):
            if not 1 <= len(getattr(self, field).strip()) <= 200:
                raise Invalid(field, "must have 1 to 200 characters")
