"""Everything that was ever stored is still read: a sample of each version is made once, and read for ever."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, JsonValue
from typing_extensions import TypedDict

from app.amends.schema import lock as schema_lock
from app.amends.schema import samples as schema_samples
from app.amends.schema.catalogue import DomainCatalogue, load_catalogue
from app.amends.schema.files import LockFiles
from app.amends.schema.lock import Lock
from app.amends.schema.shapes import catalogue_shapes
from domain.amends.errors import Invalid
from domain.amends.event import EventType, Payload, event, upcasts
from domain.amends.vocabulary import Vocabulary
from tests.amends.harness import ROOT
from workflows.amends.ports.event_store import load_event

FILES = LockFiles(ROOT)
LOCKED = FILES.read().events


def test_amends_own_files_are_written_in_its_checkout_alone_and_not_in_an_environment_below_a_project() -> None:
    assert FILES.is_checkout_of_amends
    assert not LockFiles(ROOT.parent).is_checkout_of_amends


def test_samples_of_all_events_can_be_made_anew(tmp_path: Path) -> None:
    for folder in (tmp_path / "one", tmp_path / "two"):
        written = schema_samples.write_samples(load_catalogue(), LOCKED, folder=folder)
        assert len(written) == sum(map(len, LOCKED.values()))
        assert list(schema_samples.sample_problems(load_catalogue(), LOCKED, folder)) == []
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


class Kind(StrEnum):
    GROSS = "gross"
    NET = "net"


class Number(IntEnum):
    ONE = 1
    TWO = 2


class Typed(TypedDict):
    amount: int
    note: NotRequired[str]


@dataclass(frozen=True)
class Even:
    number: int
    code: str

    def __post_init__(self) -> None:
        if self.number < 50 or self.number % 2:
            raise Invalid("number", "is even, and 50 or more")
        if not re.fullmatch(r"[A-Z]{3}", self.code):
            raise Invalid("code", "is three capitals")


@dataclass(frozen=True)
class Tree:
    name: str
    below: tuple[Tree, ...] = ()
    next: Tree | None = None


FIELDS: list[Any] = [
    int, float, bool, str, Decimal, date, datetime, time, timedelta, UUID, Kind, JsonValue, Even, Tree, None,
    Literal["x", "y"], Literal[7], int | None, str | int, Kind | None, Even | None, Tree | None, tuple[()],
    tuple[int, ...], tuple[int, str], tuple[Even, ...], list[Kind], dict[str, int], dict[str, Even], dict[Kind, int],
    Annotated[int, Field(gt=5, lt=7)], Annotated[int, Field(ge=-9, le=-8)], Annotated[float, Field(gt=0, lt=0.7)],
    Annotated[int, Field(multiple_of=12, gt=100)], Annotated[str, Field(min_length=9, max_length=9)],
    Annotated[str, Field(pattern=r"^[A-Z]{2}$")], Annotated[str, Field(max_length=2)],
    Annotated[tuple[int, ...], Field(min_length=3)], Annotated[list[int], Field(max_length=0)],
    Annotated[str, Field(pattern=r"^\p{Lu}{3}$")], Annotated[str, Field(pattern=r"^[A-Z]+\z")],
    Annotated[str, Field(pattern=r"^(?<code>[A-Z]+)$")], Annotated[str, Field(examples=[5, None, "z"])],
    Annotated[str, Field(pattern=r"^\p{Lu}\d{7}$", examples=["Q1234567"])], Annotated[int, Field(examples=["five"])],
    Annotated[int, Field(gt=40000, lt=50000, examples=[44444])], Typed, dict[int, str], dict[bool, int],
    dict[Number, int], dict[Decimal, int], dict[date, int], dict[str, dict[int, Even]],
    Annotated[dict[str, int], Field(min_length=3)], Annotated[dict[int, int], Field(min_length=3)],
    Annotated[date, Field(gt=date(2030, 1, 1))], Annotated[date, Field(lt=date(1960, 1, 1))],
    Annotated[datetime, Field(gt=datetime(2030, 1, 1))], Annotated[timedelta, Field(gt=timedelta(days=2))],
    Annotated[timedelta, Field(lt=timedelta(0))],
]  # fmt: skip


def declared(version: int, fields: dict[str, Any], *hops: Any) -> DomainCatalogue:
    """A catalogue with one event, as the code might say it on some day."""
    cls: type[Any] = event("lamp-lit", version)(type("LampLit", (), {"__annotations__": fields, "__doc__": "Lit."}))
    for older, hop in enumerate(hops, start=1):
        upcasts(cls, older)(hop)
    return DomainCatalogue({}, Vocabulary((cls,)), {})


def lock(code: DomainCatalogue, before: Lock | None = None) -> Lock:
    return schema_lock.updated_lock(list(catalogue_shapes(code)), before or Lock())


@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_a_sample_of_every_type_is_made(field: Any) -> None:
    require_made({"value": field})


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True).map("f_{}".format), st.sampled_from(FIELDS)))
def test_a_sample_of_every_shape_is_made(fields: dict[str, Any]) -> None:
    require_made(fields)


def require_made(fields: dict[str, Any]) -> None:
    code = declared(1, fields)
    shape = lock(code).events["lamp-lit"]["1"]
    sample = schema_samples.make_sample(code, EventType("lamp-lit", 1), shape)
    assert sample is not None
    assert sample.keys() == fields.keys()
    assert schema_samples.make_sample(code, EventType("lamp-lit", 1), shape) == sample
    load_event(code.vocabulary, EventType("lamp-lit", 1), json.loads(json.dumps(sample)))


@dataclass(frozen=True)
class Never:
    text: str

    def __post_init__(self) -> None:
        raise ValueError("no value is right")


@pytest.mark.parametrize("field", [Never, Annotated[str, Field(pattern=r"^\p{Greek}+$")]], ids=["never", "greek"])
def test_where_no_value_is_right_a_person_is_asked_for_one(tmp_path: Path, field: Any) -> None:
    code = declared(1, {"value": field})
    locked = lock(code)
    assert schema_samples.write_samples(code, locked.events, folder=tmp_path) == []
    (problem,) = schema_samples.sample_problems(code, locked.events, tmp_path)
    assert problem.startswith("lamp-lit version 1 has no sample: run ./run amends schema lock, or write one payload")


def test_a_schema_of_which_no_value_can_be_made_has_no_sample() -> None:
    odds: tuple[dict[str, Any], ...] = (
        {"type": "integer", "multipleOf": 0},
        {"anyOf": []},
        {"type": "string", "minLength": "many"},
    )
    for odd in odds:
        shape = {"type": "object", "properties": {"value": odd}}
        assert schema_samples.make_sample(declared(1, {"value": Never}), EventType("lamp-lit", 1), shape) is None


def kept(folder: Path) -> dict[str, Any]:
    return {path.name: json.loads(path.read_text()) for path in folder.iterdir()}


def test_a_sample_that_is_there_stays_unless_its_shape_is_replaced(tmp_path: Path) -> None:
    first = declared(1, {"room": str})
    locked = lock(first)
    (path,) = schema_samples.write_samples(first, locked.events, folder=tmp_path)
    path.write_text('{"room": "hall"}')
    second = declared(2, {"room": str, "watts": int}, lambda data: data | {"watts": 60})
    locked = lock(second, locked)
    assert schema_samples.write_samples(second, locked.events, folder=tmp_path) == [tmp_path / "lamp-lit.2.json"]
    assert kept(tmp_path) == {"lamp-lit.1.json": {"room": "hall"}, "lamp-lit.2.json": {"room": "sample", "watts": 1}}
    assert list(schema_samples.sample_problems(second, locked.events, tmp_path)) == []
    assert schema_samples.write_samples(second, locked.events, tmp_path, ["lamp-lit:1"]) == [path]
    assert kept(tmp_path)["lamp-lit.1.json"] == {"room": "sample"}


def _fails(data: Payload) -> Payload:
    return {"room": data["place"]}


@pytest.mark.parametrize(
    ("hop", "says"),
    [
        (_fails, "its upcaster _fails failed with KeyError"),
        (lambda data: {}, "its data does not fit LampLit: room: Field required"),
        (lambda data: {"room": 7}, "its data does not fit LampLit: room: Input should be a valid string"),
        (lambda data: None, "does not fit LampLit"),
    ],
)
def test_an_upcaster_that_fails_is_named(tmp_path: Path, hop: Any, says: str) -> None:
    (tmp_path / "lamp-lit.1.json").write_text('{"room": "hall"}')
    (tmp_path / "lamp-lit.2.json").write_text('{"room": "hall"}')
    second = declared(2, {"room": str}, hop)
    locked = lock(second, lock(declared(1, {"room": str})))
    (problem,) = schema_samples.sample_problems(second, locked.events, tmp_path)
    assert problem.startswith("lamp-lit version 1 is not read any more, as its sample ")
    assert says in problem


def test_a_version_whose_class_is_gone_keeps_its_sample_and_says_so(tmp_path: Path) -> None:
    locked = lock(declared(1, {"room": str}))
    (tmp_path / "lamp-lit.1.json").write_text('{"room": "hall"}')
    gone = DomainCatalogue({}, Vocabulary(()), {})
    assert schema_samples.write_samples(gone, lock(gone, locked).events, folder=tmp_path) == []
    (problem,) = schema_samples.sample_problems(gone, locked.events, tmp_path)
    assert "was its class removed or renamed" in problem
    assert kept(tmp_path) == {"lamp-lit.1.json": {"room": "hall"}}
    dropped = schema_lock.updated_lock([], locked, ["lamp-lit:1"])
    assert schema_samples.write_samples(gone, dropped.events, tmp_path, ["lamp-lit:1"]) == []
    assert kept(tmp_path) == {}


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("lamp-lit.1.json", "{", "it is not JSON"),
        ("lamp-lit.1.json", "[]", "does not fit LampLit"),
        ("lamp-lit.7.json", "{}", "is no sample of a locked event"),
        ("lamp.json", "{}", "is no sample of a locked event"),
        ("lamp-lit.01.json", "{}", "is no sample of a locked event"),
    ],
)
def test_a_file_that_is_no_sample_is_named(tmp_path: Path, name: str, text: str, says: str) -> None:
    code = declared(1, {"room": str})
    locked = lock(code)
    schema_samples.write_samples(code, locked.events, folder=tmp_path)
    (tmp_path / name).write_text(text)
    (problem,) = schema_samples.sample_problems(code, locked.events, tmp_path)
    assert name in problem
    assert says in problem
