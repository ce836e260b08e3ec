"""No event changes its shape by accident."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest

from app.amends.schema import lock as schema_lock
from app.amends.schema.catalogue import DomainCatalogue
from app.amends.schema.files import LockFiles, own_schema_problems
from app.amends.schema.lock import Lock
from app.amends.schema.shapes import Kind, KnownShape, ShapeKey, catalogue_shapes
from domain.amends.errors import Invalid
from domain.amends.event import Payload, event, upcasts
from domain.amends.sensitive import KEYWORD, PERSONAL
from domain.amends.vocabulary import Vocabulary
from tests.amends.harness import ROOT
from workflows.amends.redaction.marking import UNKNOWN
from workflows.amends.redaction.shapes import shape_of


@dataclass(frozen=True)
class Narrow:
    room: str


@dataclass(frozen=True)
class Wide(Narrow):
    note: str


@dataclass(frozen=True)
class Wider(Narrow):
    note: str = ""


@dataclass(frozen=True)
class Other:
    room: int


LOCKED = LockFiles(ROOT).read()


def test_the_file_and_the_samples_of_amends_say_what_its_code_does() -> None:
    assert list(own_schema_problems(ROOT)) == []


def declared(version: int, fields: dict[str, Any], hop: bool = False) -> DomainCatalogue:
    """A catalogue with one event, as the code might say it on some day."""
    cls: type[Any] = event("lamp-lit", version)(type("LampLit", (), {"__annotations__": fields, "__doc__": "Lit."}))
    if hop:
        upcasts(cls, version - 1)(_same)
    return DomainCatalogue({}, Vocabulary((cls,)), {})


def _same(data: Payload) -> Payload:
    return data


NOTHING = DomainCatalogue({}, Vocabulary(()), {})


def problems(known: DomainCatalogue, locked: Lock) -> list[str]:
    return list(schema_lock.lock_problems(known, list(catalogue_shapes(known)), locked))


def lock(known: DomainCatalogue, locked: Lock, *replacing: str, lifting: Sequence[str] = ()) -> Lock:
    return schema_lock.updated_lock(list(catalogue_shapes(known)), locked, replacing, lifting)


FIRST = lock(declared(1, {"room": str}), Lock())


def test_a_new_event_is_to_be_locked() -> None:
    assert problems(declared(1, {"room": str}), Lock()) == [
        "lamp-lit version 1 is not locked yet: run ./run amends schema lock and commit the file."
    ]
    assert problems(declared(1, {"room": str}), FIRST) == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"room": int}, "room is different"),
        ({"room": str, "watts": int}, "watts is new"),
        ({}, "room is gone"),
        ({"place": str}, "room is gone, place is new"),
        ({"room": str | None}, "room is different"),
    ],
)
def test_a_changed_shape_without_a_new_version_is_refused(fields: dict[str, Any], said: str) -> None:
    (problem,) = problems(declared(1, fields), FIRST)
    assert f"lamp-lit version 1 has changed its shape ({said})" in problem
    assert "version=2" in problem
    assert lock(declared(1, fields), FIRST) == FIRST, "locking again does not hide it"


def test_a_new_version_with_its_upcaster_is_locked_beside_the_old_one() -> None:
    second = declared(2, {"room": str, "watts": int}, hop=True)
    both = lock(second, FIRST)
    assert sorted(both.events["lamp-lit"]) == ["1", "2"]
    assert problems(second, both) == []


def test_a_new_version_without_its_upcaster_is_refused() -> None:
    second = declared(2, {"room": str, "watts": int})
    assert problems(second, lock(second, FIRST)) == [
        "lamp-lit version 1 is locked, so it may be stored, but no code here reads it: "
        "bring its class back, or add an upcaster that starts from it, or, if none is stored anywhere, run "
        "./run amends schema lock --replace event:lamp-lit:1."
    ]


def test_a_class_that_is_gone_is_missed() -> None:
    assert "lamp-lit version 1 is locked" in problems(NOTHING, FIRST)[0]
    assert lock(NOTHING, FIRST) == FIRST, "it stays in the lock"


@pytest.mark.parametrize("word", ["lamp-lit:1", "event:lamp-lit:1"])
def test_a_class_that_is_gone_and_was_never_stored_is_dropped(word: str) -> None:
    assert lock(NOTHING, FIRST, word) == Lock()
    second = lock(declared(2, {"room": str, "watts": int}, hop=True), FIRST)
    assert sorted(lock(declared(2, {"room": str, "watts": int}), second, word).events["lamp-lit"]) == ["2"]


@pytest.mark.parametrize("word", ["lamp-lit:2", "lamp-lit", "state:lamp-lit:1", "event:lamp:1", ""])
def test_what_is_to_be_replaced_and_is_nowhere_is_refused(word: str) -> None:
    with pytest.raises(Invalid, match="neither locked nor in the code") as refused:
        lock(NOTHING, FIRST, word)
    assert refused.value.field == "replace"


def test_a_shape_that_was_never_stored_can_be_replaced() -> None:
    changed = declared(1, {"room": int})
    for word in ("lamp-lit:1", "event:lamp-lit:1"):
        assert problems(changed, lock(changed, FIRST, word)) == []


def test_prose_is_no_shape_but_fields_called_like_prose_are() -> None:
    told = lock(declared(1, {"title": str, "description": int}), Lock()).events["lamp-lit"]["1"]
    assert sorted(told["properties"]) == ["description", "title"]
    assert "description" not in told


MARKED = declared(1, {"room": Annotated[str, PERSONAL]})


def test_a_mark_that_is_added_is_locked_without_a_new_version() -> None:
    assert "is marked otherwise than it is locked: run ./run amends schema lock" in problems(MARKED, FIRST)[0]
    assert problems(MARKED, lock(MARKED, FIRST)) == []


def test_a_mark_that_is_removed_is_refused_until_it_is_lifted_on_purpose() -> None:
    marked, clear = lock(MARKED, FIRST), declared(1, {"room": str})
    (said,) = problems(clear, marked)
    assert "room was PERSONAL and is not marked any more" in said
    assert said.endswith("run ./run amends schema lock --lift event:lamp-lit:room.")
    assert lock(clear, marked) == marked, "locking again does not hide it"
    lifted = lock(clear, marked, lifting=["event:lamp-lit:room"])
    assert problems(clear, lifted) == []
    assert lifted.lifted == {("event", "lamp-lit"): frozenset({("room",)})}
    assert lock(MARKED, lifted).lifted == {}, "what is marked again is not lifted"
    with pytest.raises(Invalid, match="is no mark that is locked"):
        lock(clear, marked, lifting=["event:lamp-lit:watts"])


def test_a_mark_on_an_older_version_or_name_is_not_removed_by_a_newer_one() -> None:
    marked = lock(MARKED, Lock())
    (said,) = problems(declared(2, {"room": str}, hop=True), lock(declared(2, {"room": str}, hop=True), marked))
    assert "room was PERSONAL" in said
    renamed: type[Any] = event("bulb-lit")(type("BulbLit", (), {"__annotations__": {"room": str}}))
    upcasts(renamed, 1, name="lamp-lit", to=("bulb-lit", 1))(_same)
    known = DomainCatalogue({}, Vocabulary((renamed,)), {})
    (said,) = problems(known, lock(known, marked))
    assert said.endswith("--lift event:lamp-lit:room.")


def test_what_the_file_holds_is_read_back(tmp_path: Path) -> None:
    whole = lock(declared(1, {"room": str}), lock(MARKED, FIRST), lifting=["event:lamp-lit:room"])
    alone = {("input", "lamp"): frozenset[tuple[str, ...]]({()})}
    whole = Lock(whole.shapes, {"lamp-lit": ("torch-lit",)}, whole.lifted | alone)
    schema_lock.write_lock(whole, tmp_path / "lock.json")
    assert schema_lock.read_lock(tmp_path / "lock.json") == whole


def test_a_file_without_marks_is_read_and_what_nobody_knows_is_marked_so(tmp_path: Path) -> None:
    """A file of the first format holds the shapes of events, and does not say what is marked."""
    file = tmp_path / "lock.json"
    shape = {"type": "object", "properties": {"room": {"type": "string"}, "pin": {"type": "string"}}}
    file.write_text(json.dumps({"lamp-lit": {"1": shape}, "gone": {"1": shape}}))
    locked = schema_lock.read_lock(file, list(catalogue_shapes(declared(2, {"room": str}, hop=True))))
    unknown = {"type": "string", KEYWORD: UNKNOWN}
    assert locked.events["lamp-lit"]["1"]["properties"] == {"room": {"type": "string"}, "pin": unknown}
    assert locked.events["gone"]["1"]["properties"] == {"room": unknown, "pin": unknown}


@pytest.mark.parametrize(
    ("kind", "before", "after", "said"),
    [
        ("input", Narrow, Wider, "is locked in another shape (note is new): run ./run amends schema lock"),
        ("result", Narrow, Wide, "raise the version of lamp, or, if none is stored anywhere"),
        ("input", Wide, Narrow, "raise the version of lamp"),
        ("signal", Narrow, Other, "raise the version of lamp"),
        ("refusal", Narrow, Other, "give the new one a name of its own"),
        ("argument", Narrow, Wider, "is locked in another shape (note is new): run ./run amends schema lock"),
        ("argument", tuple[Narrow, str], tuple[Narrow], "raise the version of lamp"),
        ("argument", tuple[Narrow], tuple[Narrow, str], "raise the version of lamp"),
        ("row", Narrow, Wider, "raise the version of lamp"),
        ("state", Narrow, Other, "is locked in another shape (room is different): run ./run amends schema lock"),
    ],
)
def test_what_is_stored_of_a_version_goes_on_to_fit_it(kind: Kind, before: Any, after: Any, said: str) -> None:
    key = ShapeKey(kind, "lamp", "1")
    locked = schema_lock.updated_lock([KnownShape(key, shape_of(before))], Lock())
    changed = [KnownShape(key, shape_of(after))]
    (problem,) = schema_lock.lock_problems(NOTHING, changed, locked)
    assert said in problem
    fits = "run ./run amends schema lock and" in problem
    assert (schema_lock.updated_lock(changed, locked) != locked) == fits
    assert (
        list(schema_lock.lock_problems(NOTHING, changed, schema_lock.updated_lock(changed, locked, [key.as_text])))
        == []
    )


def test_arguments_grow_by_what_may_be_missing_and_their_earlier_shapes_stay(tmp_path: Path) -> None:
    key = ShapeKey("argument", "lamp.light", "1")
    first, second = shape_of(tuple[Narrow]), shape_of(tuple[Narrow, str]) | {"minItems": 1}
    third = shape_of(tuple[Other, str])
    locked = schema_lock.updated_lock([KnownShape(key, first)], Lock())
    grown = schema_lock.updated_lock([KnownShape(key, second)], locked)
    assert list(schema_lock.lock_problems(NOTHING, [KnownShape(key, second)], grown)) == []
    assert schema_lock.updated_lock([KnownShape(key, third)], grown) == grown, "another class"
    replaced = schema_lock.updated_lock([KnownShape(key, third)], grown, [key.as_text])
    schema_lock.write_lock(replaced, tmp_path / "lock.json")
    read = schema_lock.read_lock(tmp_path / "lock.json")
    assert read == replaced
    assert [each.shape for each in read.known()] == [third, first, second]
