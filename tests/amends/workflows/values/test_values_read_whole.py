"""What is recorded is read whole: a field that the code here does not know is not read past, one that has moved is."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Generic, TypeVar

import pytest
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic import dataclasses as pydantic_dataclasses
from typing_extensions import TypedDict

from domain.amends.sensitive import PERSONAL
from workflows.amends.values.codec import wrong_fields
from workflows.amends.values.whole import load_whole

T = TypeVar("T")


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Line:
    sku: str
    price: Decimal = Decimal(1)


@dataclass(frozen=True)
class Parcel:
    weight: int


@dataclass(frozen=True)
class Order:
    lines: list[Line]
    by_name: dict[Colour, Line] = field(default_factory=dict)
    either: Line | Parcel | None = None
    pair: tuple[Line, Parcel] | None = None
    free: JsonValue = None


class Told(BaseModel):
    name: Annotated[str, PERSONAL]
    of: Line | None = None


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


class Keyed(TypedDict, total=False):
    name: str


@dataclass(frozen=True)
class Box(Generic[T]):
    of: T


@pydantic_dataclasses.dataclass(frozen=True)
class Renamed:
    note: str = Field(default="none", validation_alias=AliasChoices("note", "remark"))


class Moved(BaseModel):
    first: str = "x"
    last: str = "y"

    @model_validator(mode="before")
    @classmethod
    def split(cls, data: Any) -> Any:
        if isinstance(data, dict) and "whole" in data:
            first, last = data["whole"].split(" ")
            return {"first": first, "last": last}
        return data


LINE = {"sku": "a", "price": "1"}
UNKNOWN: dict[str, tuple[Any, Any, str]] = {
    "a field": (Order, {"lines": [], "gift": "yes"}, "gift"),
    "a field that is false": (Order, {"lines": [], "insured": False}, "insured"),
    "in a list": (Order, {"lines": [LINE, LINE | {"gift": 1}]}, "lines.1.gift"),
    "in a dict": (Order, {"lines": [], "by_name": {"red": LINE | {"gift": None}}}, "by_name.red.gift"),
    "in a union": (Order, {"lines": [], "either": {"weight": 1, "gift": 1}}, "either.gift"),
    "in a tuple": (Order, {"lines": [], "pair": [LINE, {"weight": 1, "gift": {}}]}, "pair.1.gift"),
    "in a model": (Told, {"name": "ann", "of": LINE | {"gift": 1}}, "of.gift"),
    "in a typed dict": (Keyed, {"name": "ann", "gift": 1}, "gift"),
    "in a generic": (Box[Line], {"of": LINE | {"gift": 1}}, "of.gift"),
    "beside an alias": (Renamed, {"remark": "none", "gift": 1}, "gift"),
}
KNOWN: dict[str, tuple[Any, Any]] = {
    "all": (Order, {"lines": [LINE], "by_name": {"red": LINE}, "either": LINE, "pair": [LINE, {"weight": 1}]}),
    "what may be anything": (Order, {"lines": [], "free": {"gift": [{"a": 1}]}}),
    "what is missing": (Order, {"lines": [{"sku": "a"}]}),
    "what is open": (Loose, {"name": "ann", "gift": 1}),
    "an alias": (Renamed, {"remark": "wrapped"}),
    "an alias with the default": (Renamed, {"remark": "none"}),
    "many aliases": (list[Renamed], [{"remark": "none"}] * 3000),
    "a validator": (Moved, {"whole": "ann lee"}),
    "a validator with the defaults": (Moved, {"whole": "x y"}),
    "a value": (int, 5),
    "nothing": (Order | None, None),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_a_field_that_is_not_known_is_said(case: str) -> None:
    annotation, data, way = UNKNOWN[case]
    with pytest.raises(ValidationError) as wrong:
        load_whole(data, annotation)
    assert str(wrong_fields(wrong.value)[0]) == f"{way}: is recorded, but the code here does not know it"


@pytest.mark.parametrize("case", KNOWN)
def test_what_is_read_under_any_name_is_known(case: str) -> None:
    annotation, data = KNOWN[case]
    assert load_whole(data, annotation) == TypeAdapter(annotation).validate_python(data)
