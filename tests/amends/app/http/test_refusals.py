"""A refusal over HTTP has its facts, whatever their types."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated

from app.amends.http.problems import error_response
from domain.amends.errors import Refusal
from domain.amends.sensitive import PERSONAL


@dataclass(frozen=True)
class Shelf:
    name: str


class Taken(Refusal, name="taken"):
    """It is taken until {until}."""

    until: date
    fee: Decimal
    shelves: tuple[Shelf, ...]
    rate: float
    by: Annotated[str, PERSONAL]
    other: object


def test_facts_of_all_types_are_json() -> None:
    refusal = Taken(date(2030, 1, 29), Decimal("1.10"), (Shelf("A3"),), float("inf"), "Ann", print)
    answer = error_response(refusal)
    assert json.loads(bytes(answer.body)) == {
        "type": "urn:amends:problem:taken",
        "title": "Refused",
        "status": 409,
        "detail": "It is taken until 2030-01-29.",
        "until": "2030-01-29",
        "fee": "1.10",
        "shelves": [{"name": "A3"}],
        "rate": "Infinity",
        "by": "***",
        "other": str(print),
    }
