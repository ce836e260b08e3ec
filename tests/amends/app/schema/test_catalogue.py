"""Every stream belongs to one aggregate at most: categories that could be taken for one another are refused."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.amends.schema.catalogue import DomainCatalogue, load_catalogue, require_distinct_categories
from domain.amends.aggregate import Aggregate
from domain.amends.errors import DefinitionError, Invalid, NotFound
from domain.amends.event import event
from domain.amends.testing import recorded_events
from domain.amends.vocabulary import Vocabulary


@event("known")
class Known:
    pass


def evolve(state: int, event: Known) -> int:
    return state + 1


def declared(*categories: str) -> DomainCatalogue:
    require_distinct_categories(categories)
    return DomainCatalogue({each: Aggregate(each, 0, evolve) for each in categories}, Vocabulary((Known,)), {})


@pytest.mark.parametrize(
    "categories",
    [("order", "order-line"), ("order-line", "order"), ("a-b-c", "x", "a-b"), ("saga", "saga-x"), ("projection",)],
)
def test_categories_that_could_be_taken_for_one_another_are_refused(categories: tuple[str, ...]) -> None:
    with pytest.raises(DefinitionError, match="another"):
        declared(*categories)


def test_other_categories_with_hyphens_are_taken() -> None:
    found = declared("order", "orders", "order2-line", "line-order")
    lines = found.aggregate("line-order-1")
    assert (lines.category, lines.key("line-order-1")) == ("line-order", "1")
    assert recorded_events("line-order-1", Known(), of=lines)[0].key == "1"
    require_distinct_categories(load_catalogue().aggregates)


WORDS = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=3).map("-".join)
KEYS = st.text(alphabet="ab-/.% \n\0", max_size=5) | st.text(max_size=3)


@settings(deadline=None)
@given(categories=st.sets(WORDS, min_size=1, max_size=4), key=KEYS)
def test_a_stream_that_can_be_named_leads_back_to_its_aggregate_and_key(categories: set[str], key: str) -> None:
    try:
        found = declared(*categories)
    except DefinitionError:
        return
    for each in found.aggregates.values():
        with suppress(Invalid):
            stream = each.stream(key)
            assert found.aggregate(stream) is each
            assert each.key(stream) == key


DECLARES = """
from domain.amends.aggregate import Aggregate
from domain.amends.event import event

@event("{event}")
class Seen:
    pass

def evolve(state: int, event: Seen) -> int:
    return state + 1

seen = Aggregate("{category}", 0, evolve)
"""


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        (
            [("a-seen", "lamp"), ("b-seen", "lamp")],
            r"'lamp': is declared twice, as \S+0\.seen and \S+1\.seen:",
        ),
        (
            [("a-seen", "lamp"), ("b-seen", "lamp-shade")],
            "aggregate 'lamp-shade': its streams could be those of 'lamp'",
        ),
        (
            [("a-seen", "lamp"), ("a-seen", "shade")],
            r"'a-seen': has two classes, \S+0\.Seen and \S+1\.Seen:",
        ),
        ([("a-seen", "projection"), ("b-seen", "lamp")], "is a category of Amends' own"),
        ([("a-seen", "projection-x"), ("b-seen", "lamp")], "its streams could be those of 'projection'"),
    ],
)
def test_what_is_declared_in_two_files_is_held_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declared: list[tuple[str, str]], says: str
) -> None:
    files = {f"file{number}": DECLARES.format(event=name, category=of) for number, (name, of) in enumerate(declared)}
    with pytest.raises(DefinitionError, match=says):
        load_catalogue([package(tmp_path, monkeypatch, files)])


def package(folder: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> str:
    """The name of a package with these files."""
    made = ModuleType(f"declared_{folder.name}")
    made.__path__ = [str(folder)]
    monkeypatch.setitem(sys.modules, made.__name__, made)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return made.__name__


LISTS = """
from dataclasses import dataclass
from domain.amends.projection import Projection, Recorded
from {whose} import Seen, seen

@dataclass(frozen=True)
class Row:
    key: str

def evolve(row: Row | None, recorded: Recorded[Seen]) -> Row | None:
    return Row(recorded.key)

list_of_seen = Projection("list_of_seen", version=1, of=seen, evolve=evolve, key="key")
"""


def test_a_read_model_that_is_declared_twice_is_named_with_both_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"declared_{tmp_path.name}"
    files = {"lamps": DECLARES.format(event="a-seen", category="lamp")}
    files |= dict.fromkeys(("one", "two"), LISTS.format(whose=f"{name}.lamps"))
    says = rf"its version 1 is declared twice, as {name}\.one\.list_of_seen and {name}\.two\.list_of_seen"
    with pytest.raises(DefinitionError, match=says):
        load_catalogue([package(tmp_path, monkeypatch, files)])


def test_what_a_file_imports_from_another_package_is_found_with_all_its_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So an aggregate that several services share is one line in a file of each."""
    shared, own = tmp_path / "shared", tmp_path / "own"
    shared.mkdir()
    own.mkdir()
    theirs = package(shared, monkeypatch, {"lamps": DECLARES.format(event="a-seen", category="lamp")})
    mine = package(own, monkeypatch, {"lamps": f"from {theirs}.lamps import seen"})
    found = load_catalogue([mine])
    assert (list(found.aggregates), list(found.events)) == (["lamp"], ["a-seen"])


@pytest.mark.parametrize("stream", ["", "order", "order-", "order- ", "other-1"])
def test_what_is_no_stream_of_any_is_not_found(stream: str) -> None:
    known: Any = declared("order")
    with pytest.raises(NotFound):
        known.aggregate(stream)
