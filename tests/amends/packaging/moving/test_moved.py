"""The map of what stood elsewhere leads to what is there, and the page shows all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.amends.moving.folder import Folder
from app.amends.moving.moves import NewLocation, module_source, names_bound_in, shipped_moves
from tests.amends.harness import ROOT
from tests.amends.packaging.page import PAGE, page

MOVES = shipped_moves()
FIRST_LAYOUT = Path(__file__).parents[1] / "first_layout"


@pytest.mark.parametrize("old", MOVES.modules)
def test_a_module_leads_to_one_that_is_there(old: str) -> None:
    new = MOVES.modules[old]
    assert module_source(new), f"{new} is not there: say in moved.toml where {old} stands now"


@pytest.mark.parametrize("old", MOVES.names)
def test_a_name_leads_to_one_that_is_there(old: str) -> None:
    assert old.rpartition(".")[0] in MOVES.modules
    module, name = NewLocation.of(MOVES.names[old])
    assert name in names_bound_in(module), f"{module} has no {name}: say in moved.toml where {old} stands now"


@pytest.mark.parametrize("cls", MOVES.members)
def test_members_are_of_a_class_that_is_known(cls: str) -> None:
    module, name = NewLocation.of(cls)
    assert MOVES.new_location(module, name)


def test_what_methods_return_has_members_that_are_called_otherwise() -> None:
    assert set(MOVES.results.values()) <= set(MOVES.members)


def test_the_page_shows_the_map() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text, MOVES) == text, "run python -m tests.amends.packaging.page"


def test_what_is_written_for_the_layout_of_today_stays() -> None:
    for file, new in Folder(ROOT).rewritten():
        assert new.text == file.text or FIRST_LAYOUT in file.path.parents, file.path
