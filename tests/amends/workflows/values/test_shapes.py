"""What is marked is masked wherever it is in a value, whatever the value's type is made of; so is what nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, JsonValue, WithJsonSchema, field_serializer, model_serializer
from typing_extensions import TypedDict

from domain.amends.sensitive import MASK, PERSONAL, SECRET, marks_within
from workflows.amends.redaction.sensitive import hidden_values, marked_shape
from workflows.amends.redaction.shapes import Part, Shape, marked_paths, shape_of
from workflows.amends.redaction.visibility import MaskCount, Visibility
from workflows.amends.values.codec import dump

Name = Annotated[str, PERSONAL]


class Model(BaseModel):
    name: Name


class Typed(TypedDict):
    name: Name


class Named(NamedTuple):
    name: Name
    age: int


@dataclass(frozen=True)
class Plain:
    name: Name


@dataclass(frozen=True)
class Tree:
    name: Name
    age: int = 0
    kids: list[Tree] = field(default_factory=list)


@dataclass(frozen=True)
class Clear:
    name: str
    age: int = 0


def form(*known: Any, marking: Sequence[Any] = (), lifted: Sequence[str] = ()) -> Visibility:
    """Of what is known, and of what only its marks count."""
    parts = [[Part(made, made) for made in map(shape_of, each)] for each in (known, [*known, *marking])]
    return Visibility(parts[0], parts[1], frozenset(tuple(way.split(".")) for way in lifted))


def masked(form: Visibility, data: Any) -> tuple[Any, bool, bool]:
    look = MaskCount()
    return form.masked(data, look), look.marked, look.unknown


WITHIN: dict[str, Any] = {
    "alone": Name,
    "optional": Name | None,
    "marked as optional": Annotated[str | None, PERSONAL],
    "a dataclass": Plain,
    "a dataclass that is marked": Annotated[Plain, SECRET],
    "a pydantic model": Model,
    "a typed dict": Typed,
    "a named tuple": Named,
    "a list": list[Name],
    "a tuple": tuple[int, Name],
    "keys": dict[Name, int],
    "values": dict[str, Plain],
    "a union": int | Plain,
    "below itself": Tree,
}
VALUES: dict[str, Any] = {
    "a dataclass": Plain("Ann Private"), "a dataclass that is marked": Plain("Ann Private"),
    "a pydantic model": Model(name="Ann Private"), "a typed dict": {"name": "Ann Private"},
    "a named tuple": Named("Ann Private", 4), "a list": ["Ann Private"], "a tuple": (1, "Ann Private"),
    "keys": {"Ann Private": 1}, "values": {"x": Plain("Ann Private")}, "a union": Plain("Ann Private"),
    "below itself": Tree("Bob", kids=[Tree("Cid", kids=[Tree("Ann Private")])]),
}  # fmt: skip


@pytest.mark.parametrize("where", WITHIN)
def test_a_mark_is_found_in_every_kind_of_type(where: str) -> None:
    annotation = WITHIN[where]
    data = dump(VALUES.get(where, "Ann Private"), annotation)
    shown, marked, unknown = masked(form(annotation), data)
    assert "Ann Private" not in str(shown)
    assert (marked, unknown) == (True, False)
    if where != "keys":
        assert "Ann Private" in list(hidden_values(data, marked_shape(annotation)))


class OwnWords(BaseModel):
    name: Name

    @model_serializer
    def written(self) -> dict[str, str]:
        return {"who": self.name}


class OwnRefs(BaseModel):
    inner: Plain

    @model_serializer
    def written(self) -> dict[str, Clear]:
        return {"who": Clear(self.inner.name)}


class Replaced(BaseModel):
    name: Annotated[str, PERSONAL, WithJsonSchema({"type": "string"})]
    age: int = 0


class Emptied(BaseModel):
    model_config = ConfigDict(json_schema_extra=lambda made: made.update(properties={"name": {"type": "string"}}))
    name: Name


class Half(BaseModel):
    model_config = ConfigDict(json_schema_extra=lambda made: made["properties"].update(name={"type": "string"}))
    name: Name
    other: Name


class ByField(BaseModel):
    inner: Plain

    @field_serializer("inner")
    def written(self, inner: Plain) -> str:
        return inner.name


OWN = {
    OwnWords: OwnWords(name="Ann Private"), OwnRefs: OwnRefs(inner=Plain("Ann Private")),
    Replaced: Replaced(name="Ann Private"), Emptied: Emptied(name="Ann Private"),
    Half: Half(name="Ann Private", other=""), ByField: ByField(inner=Plain("Ann Private")),
}  # fmt: skip


@pytest.mark.parametrize("cls", OWN)
def test_a_mark_counts_where_a_type_writes_its_own_schema(cls: Any) -> None:
    """Where it cannot be placed in there, the whole value is marked."""
    for annotation, value in ((cls, OWN[cls]), (list[cls], [OWN[cls]]), (cls | None, OWN[cls])):
        shown, marked, _ = masked(form(annotation), dump(value, annotation))
        assert "Ann Private" not in str(shown)
        assert marked
    assert marks_within(cls) == {PERSONAL}
    if cls is Replaced:
        assert masked(form(cls), {"name": "Ann Private", "age": 4})[0] == {"name": MASK, "age": 4}


def test_what_is_not_marked_is_shown() -> None:
    data = dump(Tree("Bob", 7, [Tree("Ann", 3)]), Tree)
    assert masked(form(Tree), data)[0] == {
        "name": MASK, "age": 7, "kids": [{"name": MASK, "age": 3, "kids": []}],
    }  # fmt: skip
    assert masked(form(JsonValue), {"any": [1, {"thing": None}]})[0] == {"any": [1, {"thing": None}]}


def test_marks_are_told_by_their_ways() -> None:
    assert marked_paths(shape_of(dict[str, tuple[int, Plain]])) == {("*", "1", "name"): "personal"}
    assert marked_paths(shape_of(Tree)) == {("name",): "personal"} | {
        way: mark for way, mark in marked_paths(shape_of(Tree)).items() if way[0] == "kids"
    }


def test_what_nobody_knows_is_masked_and_says_so() -> None:
    assert masked(Visibility((), ()), {"pin": 1, "home": {"street": "x"}}) == ({"pin": MASK, "home": MASK}, False, True)
    assert masked(Visibility((), ()), "text") == (MASK, False, True)
    assert masked(form(Tree), {"name": "Ann", "age": 1, "pin": 4711})[0] == {"name": MASK, "age": 1, "pin": MASK}
    assert masked(form(Tree), {"age": 1, "kids": [{"age": 1, "pin": 1}]}) == (
        {"age": 1, "kids": [{"age": 1, "pin": MASK}]}, False, True,
    )  # fmt: skip
    assert masked(form(Tree), {"age": {"of": "Ann"}, "kids": "Ann"})[0] == {"age": MASK, "kids": MASK}


def test_a_mark_of_another_version_covers_the_same_way() -> None:
    data = {"name": "Ann Private", "age": 1}
    assert masked(form(Clear), data) == (data, False, False)
    assert masked(form(Clear, marking=[Tree]), data) == ({"name": MASK, "age": 1}, True, False)
    assert masked(form(Clear, marking=[Tree], lifted=["name"]), data) == (data, False, False)


@dataclass(frozen=True)
class Person:
    pin: str
    age: int


@dataclass(frozen=True)
class Careful:
    pin: Annotated[str, SECRET]
    age: int


def test_a_mark_follows_a_value_into_another_container() -> None:
    """Whichever of two versions has one, and which has many of it."""
    clear, secret = {"pin": "4711", "age": 3}, {"pin": MASK, "age": 3}
    alone, many, by_name = Person, list[Person], dict[str, Person]
    for known, data, shown in ((alone, clear, secret), (many, [clear], [secret]), (by_name, {"a": clear}, None)):
        for marking in (Careful, list[Careful], tuple[Careful, ...], Careful | None, list[Careful | None]):
            got, marked, _ = masked(form(known, marking=[marking]), data)
            assert "4711" not in str(got), (known, marking)
            assert marked
            if shown is not None:
                assert got == shown, (known, marking)
    assert masked(form(many, marking=[dict[str, Careful]]), [clear])[0] == [secret]
    assert masked(form(str, marking=[list[Name]]), "4711") == (MASK, True, False), "the only one it had"
    assert masked(form(str, marking=[Careful]), "4711")[0] == MASK
    assert masked(form(list[str], marking=[Careful]), ["4711"])[0] == [MASK]
    assert masked(form(dict[str, str], marking=[list[Name]]), {"a": "4711"})[0] == {"a": MASK}
    assert list(form(str, marking=[list[Name]]).hidden("4711")) == ["4711"]
    assert masked(form(str | Careful), "4711")[0] == "4711", "a union tells which is marked"


FIELDS = st.sampled_from(["a", "b", "c"])
SCALARS: st.SearchStrategy[Any] = st.sampled_from([{"type": "string"}, {"type": "integer"}])


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    plain = st.dictionaries(FIELDS, inner, max_size=3).map(lambda fields: {"type": "object", "properties": fields})
    marked = inner.map(lambda made: made | {"x-sensitive": "secret"})
    return st.one_of(
        plain,
        marked,
        inner.map(lambda made: {"type": "array", "items": made}),
        inner.map(lambda made: {"type": "object", "additionalProperties": made}),
        st.lists(inner, min_size=1, max_size=2).map(lambda made: {"anyOf": made}),
    )


SHAPES = st.recursive(SCALARS, objects, max_leaves=8)
DATA = st.recursive(
    st.integers(0, 9),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(FIELDS, inner, max_size=3)),
    max_leaves=8,
)


def clear(data: Any, shown: Any, way: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The ways to all values that are shown."""
    if isinstance(shown, dict):
        return [each for name in shown for each in clear(data[name], shown[name], (*way, name))]
    if isinstance(shown, list):
        return [each for number, one in enumerate(shown) for each in clear(data[number], one, (*way, number))]
    assert shown in (data, MASK)
    return [] if shown == MASK else [way]


def says(schema: Shape, way: tuple[str | int, ...]) -> tuple[bool, bool]:
    """Whether a shape knows a way, and whether it marks something on it: told step by step, as a person would."""
    if "anyOf" in schema:
        found = [says(each, way) for each in schema["anyOf"]]
        known, marked = any(each[0] for each in found), any(each[1] for each in found)
    elif not way:
        known, marked = schema["type"] in ("string", "integer"), False
    else:
        step, *rest = way
        inner = schema.get("items") if isinstance(step, int) else schema.get("properties", {}).get(step)
        inner = inner or (schema.get("additionalProperties") if isinstance(step, str) else None)
        known, marked = says(inner, tuple(rest)) if inner else (False, False)
    return known, marked or "x-sensitive" in schema


@settings(deadline=None)
@given(st.lists(SHAPES, max_size=2), st.lists(SHAPES, max_size=2), DATA)
def test_nothing_is_shown_that_is_marked_anywhere_or_known_nowhere(
    known: list[Shape], others: list[Shape], data: Any
) -> None:
    parts = [Part(each, each) for each in known]
    shown = Visibility(parts, [*parts, *(Part(each, each) for each in others)]).masked(data, MaskCount())
    for way in clear(data, shown):
        assert any(says(each, way)[0] for each in known), f"{way} is known"
        assert not any(says(each, way)[1] for each in [*known, *others]), f"{way} is not marked"
