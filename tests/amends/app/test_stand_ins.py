"""What stands in for a marked value is of its type and length, the same for the same value, and loads as it did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest

from app.amends.recordings.stand_ins import StandIns
from domain.amends.sensitive import PERSONAL, SECRET
from workflows.amends.redaction.shapes import Part, shape_of
from workflows.amends.redaction.visibility import MaskCount, Visibility
from workflows.amends.values.codec import dump, load


class Size(Enum):
    small = "small"
    large = "large"


@dataclass(frozen=True)
class Address:
    kind: Literal["home"]
    street: str
    extra: dict[str, str]


@dataclass(frozen=True)
class Customer:
    number: int
    name: Annotated[str, PERSONAL]
    born: Annotated[date, PERSONAL]
    seen: Annotated[datetime, PERSONAL]
    awake: Annotated[time, PERSONAL]
    slept: Annotated[timedelta, PERSONAL]
    token: Annotated[UUID, SECRET]
    balance: Annotated[Decimal, SECRET]
    pin: Annotated[int, SECRET]
    ratio: Annotated[float, SECRET]
    honest: Annotated[bool, SECRET]
    size: Annotated[Size, PERSONAL]
    address: Annotated[Address, PERSONAL]
    nothing: Annotated[str | None, PERSONAL]
    mail: tuple[Annotated[str, PERSONAL], ...]


CUSTOMER = Customer(
    7,
    "Ada Lovelace",
    date(1815, 12, 10),
    datetime.fromisoformat("2026-02-28T23:59:58.123456+02:00"),
    time(23, 59, 1),
    timedelta(hours=7, minutes=45),
    UUID("8f3b2a10-5f4e-4f0b-9a57-0d6a1b2c3d4e"),
    Decimal("-1234.50"),
    98765,
    12.75,
    True,
    Size.large,
    Address("home", "12 St. James's Sq.", {"Klingelschild": "Männer"}),
    None,
    ("ada@example.org", "ada@example.org", "bob@example.org"),
)


def form_of(annotation: Any) -> Visibility:
    part = Part(made := shape_of(annotation), made, lasting=True)
    return Visibility([part], [part])


def stands_in(data: Any, key: bytes = b"key") -> Any:
    return form_of(Customer).masked(data, MaskCount(), StandIns(key).value)


def test_every_marked_value_is_another_one_of_its_type_and_length() -> None:
    data = dump(CUSTOMER, Customer)
    made = stands_in(data)
    load(made, Customer)
    assert made["number"] == 7
    assert made["nothing"] is None
    assert made["address"]["kind"] == "home"
    hidden = {"name", "born", "seen", "awake", "slept", "token", "balance", "pin", "ratio", "mail"}
    assert {name for name in hidden if made[name] == data[name]} == set()
    assert {name for name in hidden if len(str(made[name])) != len(str(data[name]))} == set()
    assert {name for name in made if type(made[name]) is not type(data[name])} == set()
    (key,) = made["address"]["extra"]
    assert (len(key), len(made["address"]["extra"][key])) == (len("Klingelschild"), len("Männer"))
    assert "Männer" not in str(made)


def test_equal_values_stay_equal_and_other_ones_differ() -> None:
    made = stands_in(dump(CUSTOMER, Customer))
    first, second, third = made["mail"]
    assert first == second != third
    assert stands_in(dump(CUSTOMER, Customer)) == made
    assert stands_in(dump(CUSTOMER, Customer), b"another")["name"] != made["name"]


def test_a_value_that_other_texts_repeat_is_replaced_there_too() -> None:
    stand_ins = StandIns()
    made = stand_ins.text("Ada Lovelace")
    told = stand_ins.elsewhere({"note": "for Ada Lovelace, at once", "Ada Lovelace": [1, "Ada"]})
    assert told == {"note": f"for {made}, at once", made: [1, "Ada"]}


@pytest.mark.parametrize("text", ["", "x", "ÄÖ", "10:00", "2024-02-29", "1e5", "+49 (0)30 123-45", "\ud800", "👩‍👩‍👧"])
def test_any_text_has_a_stand_in_of_its_length(text: str) -> None:
    assert len(StandIns().text(text)) == len(text)


def test_what_nobody_knows_is_replaced_with_all_that_is_in_it() -> None:
    unknown = Visibility([], [])
    made = unknown.masked({"who": {"name": "Ada", "age": 36}, "when": ["1815-12-10"]}, MaskCount(), StandIns().value)
    assert list(made) == ["who", "when"]
    assert "Ada" not in str(made)
    assert "name" not in str(made)
    assert "1815" not in str(made)
