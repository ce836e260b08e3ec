"""What is kept is what is stored: a type is refused where its values would come back as others, and so is a value."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    JsonValue,
    PrivateAttr,
    RootModel,
    SecretStr,
    StrictBool,
    computed_field,
    field_serializer,
)

from domain.amends.errors import DefinitionError, Refusal, Unstorable
from tests.amends.harness.values import VALUES, Level, No, Renamed, Values, Yes
from workflows.amends.saga import Call, Saga, Undo, signal, step
from workflows.amends.simulation.simulation import Simulation
from workflows.amends.values.codec import digest, exactly, fresh, from_text, kept, read, require_json, settled, text
from workflows.amends.values.comparing import is_same

T = TypeVar("T")
LIMIT = 1_000_000


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


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (date, datetime(2026, 1, 2, tzinfo=UTC)),
        (int, 1.0),
        (float, 2**53 + 1),
        (float, float("inf")),
        (Decimal, Decimal("NaN")),
        (Bare, type("Special", (Bare,), {})(1)),
        (JsonValue, (1, 2)),
        (list[str], ("a",)),
        (str, "half \ud83d"),
        (str, "\0"),
        (datetime, datetime(1890, 1, 1, tzinfo=ZoneInfo("Europe/Amsterdam"))),
        (Annotated[str, AfterValidator(str.upper)], "small"),
    ],
    ids=str,
)
def test_a_value_that_would_come_back_as_another_one_is_not_kept(annotation: Any, value: Any) -> None:
    for way in (kept, settled, exactly):
        with pytest.raises(Unstorable):
            way(value, annotation, "it", LIMIT)


class Rounded(BaseModel):
    model_config = ConfigDict(ser_json_temporal="milliseconds")
    at: datetime


class InUtc(BaseModel):
    at: datetime

    @field_serializer("at")
    def _at(self, at: datetime) -> datetime:
        return at.astimezone(UTC)


class Private(BaseModel):
    a: int
    _b: int = PrivateAttr(default=0)


@dataclass
class Careless:
    a: Annotated[str, AfterValidator(str.upper)]

    def __eq__(self, other: object) -> bool:
        return True


@dataclass
class Uncompared:
    a: Annotated[str, AfterValidator(str.upper)] = field(compare=False)


class Partly(BaseModel):
    a: int = 0


BERLIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1)))


def private() -> Private:
    made = Private(a=1)
    made._b = 2
    return made


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (Rounded(at=BERLIN), "at"),
        (InUtc(at=BERLIN), "at"),
        (private(), "_b"),
        (Careless("small"), "a"),
        (Uncompared("small"), "a"),
    ],
)
def test_what_calls_itself_equal_is_compared_by_its_parts(value: Any, path: str) -> None:
    for way in (kept, settled, exactly):
        with pytest.raises(Unstorable) as refused:
            way([value], list[type(value)], "it", LIMIT)  # type: ignore[misc]
        assert way is exactly or f" 0.{path} is of type" in str(refused.value)


def test_a_state_of_which_not_all_fields_were_set_is_not_kept_as_one_of_which_they_were() -> None:
    assert from_text(exactly(Partly(a=0), Partly, "it", LIMIT), Partly).model_fields_set == {"a"}
    with pytest.raises(Unstorable):
        exactly(Partly(), Partly, "it", LIMIT)
    assert kept(Partly(), Partly, "it", LIMIT).value.model_fields_set == {"a"}


class Exacting(BaseModel):
    model_config = ConfigDict(strict=True)
    on: date
    price: Decimal
    both: tuple[UUID, Shade]


@dataclass
class PartlyExacting:
    on: Annotated[date, Field(strict=True)]
    several: list[Exacting]


def test_what_takes_only_its_own_types_comes_back() -> None:
    exacting = Exacting(on=date(2026, 1, 2), price=Decimal("1.10"), both=(UUID(int=1), Shade.DARK))
    value = PartlyExacting(date(2026, 1, 2), [exacting])
    for made in (kept(value, PartlyExacting, "it", LIMIT).value, settled(value, PartlyExacting, "it", LIMIT)):
        assert is_same(made, value)
    assert is_same(fresh(kept(value, PartlyExacting, "it", LIMIT).data, PartlyExacting), value)


class ByAlias(BaseModel):
    model_config = ConfigDict(serialize_by_alias=True)
    amount: int = Field(alias="the amount")


def test_a_field_is_kept_by_its_name_whatever_it_is_called_outside() -> None:
    value = ByAlias(**{"the amount": 1})
    assert kept(value, ByAlias, "it", LIMIT).data == {"amount": 1}
    assert exactly(value, ByAlias, "it", LIMIT) == '{"amount":1}'
    assert settled(value, ByAlias, "it", LIMIT) == value


async def test_what_has_no_hash_may_be_said_about_a_type() -> None:
    annotation = Annotated[str, {"doc": "x"}]
    for _ in range(2):
        assert kept("a", annotation, "it", LIMIT).value == settled("a", annotation, "it", LIMIT) == "a"
        assert read("a", annotation) == "a"

    @dataclass(frozen=True)
    class Noting(Saga[str, str], name="kept-values-noting"):
        async def run(self, request: str) -> str:
            return await self.note(request)

        @step(compensation=None)
        async def note(self, call: Call, words: Annotated[str, {"doc": "x"}]) -> Annotated[str, ["y"]]:
            return words

    assert (await Simulation().run(Noting(), "a")).result == "a"


def test_what_is_lost_is_said_by_its_path_and_never_shown() -> None:
    with pytest.raises(Unstorable, match=r"0\.by is of type str and comes back as another one") as refused:
        kept([Upper("geheim")], list[Upper], "it", LIMIT)
    assert "geheim" not in str(refused.value)


@dataclass(frozen=True)
class Upper:
    by: Annotated[str, AfterValidator(str.upper)]


@pytest.mark.parametrize(
    ("annotation", "value", "back"),
    [
        (float, 1, 1.0),
        (int, True, 1),
        (int, Level.LOW, 1),
        (str, Shade.DARK.value, "dark"),
        (float, -0.0, 0.0),
        (float, 1e20, 1e20),
        (JsonValue, 1e20, 10**20),
        (JsonValue, {"bb": 1, "a": -0.0}, {"a": 0.0, "bb": 1}),
        (dict[str, int], {"bb": 1, "é": 2, "a": 3}, {"a": 3, "bb": 1, "é": 2}),
    ],
)
def test_a_value_is_at_once_what_it_will_be(annotation: Any, value: Any, back: Any) -> None:
    for found in (kept(value, annotation, "it", LIMIT).value, settled(value, annotation, "it", LIMIT)):
        assert is_same(found, back)


@given(values=VALUES)
@settings(max_examples=60, deadline=None)
def test_a_value_that_was_kept_stays_what_it_is(values: Values) -> None:
    made = kept(values, Values, "it", LIMIT)
    assert is_same(fresh(made.data, Values), made.value)
    assert is_same(from_text(text(made.data), Values), made.value)
    assert is_same(kept(made.value, Values, "it", LIMIT).value, made.value)
    assert is_same(settled(values, Values, "it", LIMIT), made.value)
    assert digest(made.data) == digest(kept(made.value, Values, "it", LIMIT).data)
    assert is_same(from_text(exactly(made.value, Values, "it", LIMIT), Values), made.value)


# -- in the first life of a saga and in every later one


@signal("kept-values-told")
class SagaEvent:
    values: Values


@dataclass(frozen=True)
class Shows(Saga[Values, Values], name="kept-values-shows", signals=[SagaEvent]):
    """Notes whatever it sees. What it makes itself is given to a step that is compensated in the end."""

    made: Values
    seen: list[list[Any]]
    undone: list[Any] = field(default_factory=list)

    async def run(self, request: Values) -> Values:
        self.seen.append([request])
        self.seen[-1].append(await self.give(request))
        told = await self.receive(SagaEvent)
        self.seen[-1].append(told)
        self.seen[-1].append(await self.give(told.values if told else request))
        self.seen[-1].append(await self.give(self.made))
        await self.refuse()
        return request

    @step
    async def give(self, call: Call, values: Values) -> Values:
        return values

    @give.compensation
    async def take_back(self, undo: Undo[Values], values: Values) -> None:
        self.undone.append(values)

    @step(compensation=None)
    async def refuse(self, call: Call) -> None:
        raise NotNow(self.made)


class NotNow(Refusal, name="kept-values-not-now"):
    """Not now."""

    made: Values


@given(values=VALUES, told=VALUES, made=VALUES, crash=st.integers(1, 9))
@settings(max_examples=20, deadline=None)
async def test_a_saga_sees_in_every_life_what_it_saw_in_its_first(
    values: Values, told: Values, made: Values, crash: int
) -> None:
    simulation, saga = Simulation(), Shows(made, [])
    simulation.crash(at=crash)
    played = await simulation.run(saga, values, signals=[SagaEvent(told)])
    assert played.state.status == "compensated"
    whole = max(saga.seen, key=len)
    assert len(whole) == 5
    for life in saga.seen:
        assert all(map(is_same, life, whole))
    assert is_same(whole[1], whole[0])
    assert is_same(whole[2].values, whole[3])
    given = [whole[4], whole[3], whole[1]]
    assert is_same(saga.undone[0], given[0])
    assert is_same(saga.undone[-1], given[-1])
    assert all(any(is_same(undone, each) for each in given) for undone in saga.undone)


def test_an_offset_is_kept_and_the_name_of_a_zone_is_not() -> None:
    made = kept(datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Berlin")), datetime, "it", LIMIT).value
    assert made.utcoffset() == timedelta(hours=2)
    assert (made + timedelta(days=180)).utcoffset() == timedelta(hours=2)
