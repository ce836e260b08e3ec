"""The reference says what docstrings, settings and commands say today."""

from __future__ import annotations

import pytest

from tests.amends.docs.reference import FOLDER, pages

PAGES = pages()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_the_code_says(name: str) -> None:
    assert (FOLDER / name).read_text() == PAGES[name], "./run reference writes it anew"


def test_there_are_no_other_pages() -> None:
    assert {file.name for file in FOLDER.iterdir()} == set(PAGES)
