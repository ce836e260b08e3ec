"""What the pages name is there: files, headings, and in the glossary modules and what is in them."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.amends.docs.blocks import BLOCK, PAGES, every_block
from tests.amends.harness import ROOT

ALL_PAGES = [*PAGES, *sorted((ROOT / "docs" / "decisions").glob("*.md"))]
OF_OLD_NAMES = ROOT / "docs" / "moving.md"
"""It names what was; tests/amends/packaging/test_moved.py compares it with what is."""
RINGS = "app|benchmarks|docs|domain|migrations|tests|workflows"
FILE = re.compile(rf"`((?:{RINGS})/[\w./-]+)`")
MODULE = re.compile(r"`((?:app|domain|migrations|workflows)\.amends[\w.]*)`")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)]+))?\)")
ENTRY = re.compile(r"^\| (?!word \|)(?P<word>[^|]+) \| [^|]+ \| (?P<where>[^|]+) \|$", re.MULTILINE)
GLOSSARY = [(found["word"], found["where"]) for found in ENTRY.finditer((ROOT / "docs" / "glossary.md").read_text())]
OF_THE_PROJECT = {
    str(above) for block in every_block() if block.file for above in (Path(block.file), *Path(block.file).parents)
}
MADE_LATER = {"domain/events.lock.json", "tests/samples", "workflows/suggest_book_v1.py"}


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return BLOCK.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def exists(name: str) -> bool:
    """Whether there is a module of this name, or such a name in a module."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return hasattr(importlib.import_module(module), attribute)
    return True


@pytest.mark.parametrize(("word", "where"), GLOSSARY, ids=[word for word, _ in GLOSSARY])
def test_a_word_of_the_glossary_lives_where_it_says(word: str, where: str) -> None:
    assert exists(where.strip("`"))


def test_a_word_stands_once_in_the_glossary() -> None:
    assert len(GLOSSARY) > 50
    assert [word for word, count in Counter(word for word, _ in GLOSSARY).items() if count > 1] == []


@pytest.mark.parametrize("page", [page for page in ALL_PAGES if page != OF_OLD_NAMES], ids=lambda page: page.name)
def test_files_and_modules_are_named_as_they_are(page: Path) -> None:
    files = {file.rstrip("/") for file in FILE.findall(prose(page))} - OF_THE_PROJECT - MADE_LATER
    assert [file for file in sorted(files) if not (ROOT / file).exists()] == []
    assert [module for module in sorted(set(MODULE.findall(prose(page)))) if not exists(module)] == []


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.name)
def test_links_lead_to_pages_and_headings(page: Path) -> None:
    for target, heading in LINK.findall(prose(page)):
        file = page.parent / target if target else page
        assert file.exists(), f"there is no {target}"
        assert not heading or heading in anchors(file), f"there is no heading {heading} in {file.name}"
