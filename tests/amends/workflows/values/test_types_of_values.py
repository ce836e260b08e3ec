"""A type is refused where its values would come back from JSON as others."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import InitVar, dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    Json,
    JsonValue,
    RootModel,
    SecretStr,
    StrictBool,
    computed_field,
)

from domain.amends.errors import DefinitionError
from tests.amends.harness.values import No, Renamed, Values, Yes
from workflows.amends.values.codec import require_json

T = TypeVar("T")


@dataclass
class Bare:
    x: int


@dataclass
class AlsoBare:
    x: int


@dataclass
class Generically(Generic[T]):
    value: T


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int


class AlsoStrict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    b: int


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Pair(NamedTuple):
    x: int


class Number(RootModel[int]):
    pass


class Shade(Enum):
    DARK = "dark"


class Odd(Enum):
    PAIR = (1, 2)


class One(IntEnum):
    ONE = 1


class Hidden(BaseModel):
    kept: int
    lost: int = Field(default=3, exclude=True)


@dataclass
class Given:
    kept: int
    lost: InitVar[int]


@dataclass
class Deep:
    inner: dict[str, tuple[set[str], ...]]


class Computing(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> int:
        return 2 * self.a


@pytest.mark.parametrize(
    "annotation",
    [
        *(JsonValue, JsonValue | None, dict[str, JsonValue], int | None, str | int | None, bool | int, str | bool),
        *(Literal["a", "b"] | None, Shade | None, Literal["a"] | str, Literal["never"] | datetime, One | str),
        *(Yes | No, list[Yes | No] | None, Strict | AlsoStrict, Annotated[Cat | Dog, Field(discriminator="kind")]),
        *(str | Bare, int | list[int], list[int] | list[str], UUID | datetime, UUID | int, date | int),
        *(tuple[int, str] | tuple[int], dict[str, int] | dict[str, str], Generically[int] | None, Pair | None),
        *(dict[int, str], dict[date, int], dict[Shade, int], dict[One, int], dict[UUID, int], Values, Renamed),
    ],
    ids=str,
)
def test_a_type_whose_values_come_back_is_accepted(annotation: Any) -> None:
    require_json(annotation, "it")


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        (Bare | AlsoBare, "Bare or AlsoBare, and one can be read as the other; give each a field such as `kind: "),
        (list[Bare | AlsoBare | None], "give each a field"),
        (Strict | Bare, "give each a field"),
        (dict[str, int] | Bare, "give each a field"),
        (Generically[int] | Generically[str], "give each a field"),
        (str | date, "str or date, and one can be read as the other; use one of them"),
        (date | datetime | None, "date or datetime"),
        (str | UUID, "str or uuid"),
        (int | float, "int or float"),
        (Decimal | int, "decimal or int"),
        (Decimal | str, "decimal or str"),
        (One | int, "One or int"),
        (One | bool, "One or bool"),
        (Shade | str, "Shade or str"),
        (Literal["2026-01-01"] | date, "literal or date"),
        (list[int] | tuple[int, ...], "list or tuple"),
        (tuple[int, ...] | tuple[str, ...], "tuple or tuple"),
        (Number | int, "Number or int"),
        (Pair | Bare, "Pair or Bare"),
        (JsonValue | Bare, "JsonValue or Bare"),
        (Deep, "inner has no order; use tuple"),
        (Any, "no type that says what it holds; use a dataclass, or JsonValue"),
        (dict[str, object], "no type"),
        (bytes, "use str"),
        (Odd, "use texts"),
        (Literal[Shade.DARK], "use texts"),
        (dict[tuple[int, int], str], "keys that do not come back from a text; use str"),
        (dict[str | int, str], "keys"),
        (dict[Literal[1], str], "keys"),
        (OrderedDict[str, int], "keeps an order"),
        (deque[int], "a length of its own"),
        (list[Computing], "computes twice, which it does not take back"),
        (Literal[1, 0] | StrictBool, "literal or bool"),
        (Literal[True] | int, "literal or int"),
        (Literal[1, True], "a number and a truth value"),
        (SecretStr, "asterisks; use Annotated"),
        (Json[int], "annotate it as that"),
        (Hidden, "lost is left out when it is written"),
        (Given, "lost is given to the class, and not kept by it"),
        (Path, "use a dataclass, list or tuple, or str"),
        (Sequence[int], "use a dataclass, list or tuple, or str"),
        (Iterable[int], "only once"),
        (Callable[[], int], "is a function"),
    ],
    ids=str,
)
def test_a_type_whose_values_would_come_back_as_others_is_refused(annotation: Any, says: str) -> None:
    with pytest.raises(DefinitionError, match="does not survive JSON") as refused:
        require_json(annotation, "it")
    assert says in refused.value.problem
