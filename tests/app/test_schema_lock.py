"""No event changes its shape by accident, and everything that was ever stored is still read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app import schema_lock
from app.catalogue import Catalogue, catalogue
from domain.event import EventType, Payload, event, upcasts
from domain.vocabulary import Vocabulary
from tests.server import ROOT
from workflows.events import load_event

SAMPLES = sorted((ROOT / "tests" / "samples").glob("*.json"))
LOCKED = schema_lock.read()


def test_the_committed_file_says_what_the_code_does() -> None:
    assert list(schema_lock.problems(catalogue(), LOCKED)) == []


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_everything_that_was_ever_stored_still_loads(sample: Path) -> None:
    name, version = sample.stem.split(".")
    loaded = load_event(catalogue().vocabulary, EventType(name, int(version)), json.loads(sample.read_text()))
    assert type(loaded) is catalogue().events[name]


def test_every_shape_that_is_locked_has_a_sample() -> None:
    locked = {f"{name}.{version}" for name, versions in LOCKED.items() for version in versions}
    assert {sample.stem for sample in SAMPLES} == locked


def declared(version: int, fields: dict[str, Any], hop: bool = False) -> Catalogue:
    """A catalogue with one event, as the code might say it on some day."""
    cls: type[Any] = event("lamp-lit", version)(type("LampLit", (), {"__annotations__": fields, "__doc__": "Lit."}))
    if hop:
        upcasts(cls, version - 1)(_same)
    return Catalogue({}, Vocabulary((cls,)), {})


def _same(data: Payload) -> Payload:
    return data


FIRST = schema_lock.lock(declared(1, {"room": str}), {})


def test_a_new_event_is_to_be_locked() -> None:
    assert list(schema_lock.problems(declared(1, {"room": str}), {})) == [
        "lamp-lit version 1 is not locked yet: run ./run amends schema lock and commit the file."
    ]
    assert list(schema_lock.problems(declared(1, {"room": str}), FIRST)) == []


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
    (problem,) = schema_lock.problems(declared(1, fields), FIRST)
    assert f"lamp-lit version 1 has changed its shape ({said})" in problem
    assert "version=2" in problem
    assert schema_lock.lock(declared(1, fields), FIRST) == FIRST, "locking again does not hide it"


def test_a_new_version_with_its_upcaster_is_locked_beside_the_old_one() -> None:
    second = declared(2, {"room": str, "watts": int}, hop=True)
    both = schema_lock.lock(second, FIRST)
    assert sorted(both["lamp-lit"]) == ["1", "2"]
    assert list(schema_lock.problems(second, both)) == []


def test_a_new_version_without_its_upcaster_is_refused() -> None:
    second = declared(2, {"room": str, "watts": int})
    problems = list(schema_lock.problems(second, schema_lock.lock(second, FIRST)))
    assert problems == [
        "lamp-lit version 1 is locked, so it may be stored, but no code here reads it: "
        "bring its class back, or add an upcaster that starts from it."
    ]


def test_a_class_that_is_gone_is_missed() -> None:
    assert "lamp-lit version 1 is locked" in next(schema_lock.problems(Catalogue({}, Vocabulary(()), {}), FIRST))


def test_a_shape_that_was_never_stored_can_be_replaced() -> None:
    changed = declared(1, {"room": int})
    replaced = schema_lock.lock(changed, FIRST, ["lamp-lit:1"])
    assert list(schema_lock.problems(changed, replaced)) == []


def test_prose_is_no_shape_but_fields_called_like_prose_are() -> None:
    told = schema_lock.shapes(declared(1, {"title": str, "description": int}))["lamp-lit"]["1"]
    assert sorted(told["properties"]) == ["description", "title"]
    assert "description" not in told


def amends(*command: str) -> subprocess.CompletedProcess[str]:
    whole = [sys.executable, "-m", "app", "schema", *command]
    return subprocess.run(whole, capture_output=True, text=True, cwd=ROOT, check=False)


def test_the_command_says_that_all_is_well() -> None:
    done = amends("check")
    assert (done.returncode, done.stdout) == (0, "Every event has the shape that is locked.\n")
    assert json.loads(amends("check", "--json").stdout) == {"problems": []}
