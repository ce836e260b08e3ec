"""A new version of a saga: the old one gets a file of its own that holds what must not change any more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from app.amends.moving.folder import Unparsable
from app.amends.versioning.composition import with_old_version
from app.amends.versioning.imports import insert_import
from app.amends.versioning.new_version import NewVersion, make_version
from app.amends.versioning.old_file import SagaFile
from domain.amends.errors import AmendsError, Conflict, Invalid, NotFound, StartupError
from workflows.amends.definition import Definition

NAME = "a_project.workflows.lend"
SAGA = '''"""Lend a book."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import NewType, Protocol, TypeVar

from domain.amends.aggregate import Aggregate
from domain.amends.errors import Refusal
from domain.amends.event import event
from workflows.amends.saga import Call, Saga, hours, step

log = logging.getLogger("lend")
Book = NewType("Book", str)
DAYS = 14
"""How long a book is lent."""
EARLIER = DAYS - 1
UNUSED = 7


class Lent(Refusal, name="lent"):
    """It is lent until day {day}."""

    day: int


@event("taken")
class Taken:
    days: int


def evolve(total: int, event: Taken) -> int:
    return total


shelves = Aggregate("shelf", 0, evolve)


# How many days there are, less one.
def days() -> int:
    return EARLIER


def unused() -> None:
    pass


class Shelf(Protocol):
    async def take(self, book: Book, days: int, *, key: str) -> None: ...


class Named:
    def known(self) -> "Lend":
        raise NotImplementedError


@dataclass(frozen=True)
class Lend(Named, Saga[str, int], name="lend"):
    shelf: Shelf

    # It may be lent already.
    async def run(self, request: str) -> int:
        await self.take(Book(request))
        return days()

    @step(compensation=None, timeout=hours(1))
    async def take(self, call: Call, book: Book) -> None:
        log.info("%s %s", Lend.__name__, shelves.category)
        await self.shelf.take(book, DAYS, key=call.key)


DEFAULT: "Lend | None" = None
'''
OLD = '''"""Version 1 of lend, for the instances that began with it."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from workflows.amends.saga import Call, Saga, hours, step
from a_project.workflows.lend import Book, Shelf, shelves

log = logging.getLogger("lend")
DAYS = 14
"""How long a book is lent."""
EARLIER = DAYS - 1


# How many days there are, less one.
def days() -> int:
    return EARLIER


class Named:
    def known(self) -> "LendV1":
        raise NotImplementedError


@dataclass(frozen=True)
class LendV1(Named, Saga[str, int], name="lend"):
    shelf: Shelf

    # It may be lent already.
    async def run(self, request: str) -> int:
        await self.take(Book(request))
        return days()

    @step(compensation=None, timeout=hours(1))
    async def take(self, call: Call, book: Book) -> None:
        log.info("%s %s", LendV1.__name__, shelves.category)
        await self.shelf.take(book, DAYS, key=call.key)
'''
MAIN = '''"""The service."""

from a_project.workflows.lend import Lend as Lending


def build(shelf):
    return [
        Lending(shelf),  # the one
    ]
'''


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project that is kept in git, with its saga as Python has it."""
    for name, text in {"workflows/lend.py": SAGA, "app/main.py": MAIN}.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    module = sys.modules[NAME] = ModuleType(NAME)
    module.__file__ = str(tmp_path / "workflows" / "lend.py")
    exec(compile(SAGA, NAME, "exec"), vars(module))
    yield tmp_path
    del sys.modules[NAME]


def git(folder: Path, *command: str) -> None:
    subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=me", "-c", "user.email=me@localhost", "commit", "--message", "mine")


def made(project: Path, name: str = "lend") -> NewVersion:
    definition: Definition = sys.modules[NAME].Lend.definition
    return make_version(project, [definition], name)


def texts(project: Path) -> dict[str, str]:
    return {str(path.relative_to(project)): path.read_text() for path in project.rglob("*.py")}


def test_the_old_version_keeps_what_it_does_and_imports_what_all_versions_share(project: Path) -> None:
    assert SagaFile(SAGA, sys.modules[NAME], "Lend", "lend", 1).old_text() == OLD
    made(project).write()
    after = texts(project)
    assert after["workflows/lend.py"] == SAGA.replace('name="lend")', 'name="lend", version=2)')
    assert "from a_project.workflows.lend_v1 import LendV1\n" in after["app/main.py"]
    assert "        Lending(shelf),\n        LendV1(shelf),  # the one\n" in after["app/main.py"]
    assert sorted(after) == ["app/main.py", "workflows/lend.py", "workflows/lend_v1.py"]


def test_the_file_of_a_newer_version_is_raised_by_one() -> None:
    text = SAGA.replace('name="lend")', 'name="lend", version=3)')
    assert "version=4)" in SagaFile(text, ModuleType("x"), "Lend", "lend", 3).next_text()
    with pytest.raises(ValueError, match="CURRENT"):
        SagaFile(text.replace("=3)", "=CURRENT)"), ModuleType("x"), "Lend", "lend", 3).next_text()


@pytest.mark.parametrize(
    ("imported", "listed", "given"),
    [
        ("from shop.lend import Lend", "sagas = [Lend()]", "sagas = [Lend(), LendV1()]"),
        (
            "from shop import lend",
            "sagas = (lend.Lend(a, b=[Lend]),)",
            "sagas = (lend.Lend(a, b=[Lend]), LendV1(a, b=[Lend]),)",
        ),
        ("import shop.lend", "sagas = [shop.lend.Lend(1)]", "sagas = [shop.lend.Lend(1), LendV1(1)]"),
    ],
)
def test_the_old_version_is_made_with_the_same_gateways(imported: str, listed: str, given: str) -> None:
    text = with_old_version(f"{imported}\n\n{listed}\n", "shop.lend", "Lend", "shop.lend_v1", "LendV1")
    assert text == f"{imported}\nfrom shop.lend_v1 import LendV1\n\n{given}\n"


def test_an_import_stands_where_it_is_sorted() -> None:
    text = '"""A file."""\n\nfrom b.x import y\nfrom b.x_v2 import y2\nfrom b.z import z\n'
    assert insert_import(text, "b.x_v10", ["w"]) == text.replace("from b.z", "from b.x_v10 import w\nfrom b.z")
    assert insert_import("", "b", ["w"]) == "from b import w\n\n"


def refused(project: Path, name: str = "lend") -> AmendsError:
    """What is said instead, and nothing is written."""
    before = texts(project)
    with pytest.raises((NotFound, Conflict, Invalid, StartupError, Unparsable)) as error:
        made(project, name).write()
    assert texts(project) == before
    found: AmendsError = error.value
    return found


def test_what_cannot_be_made_is_refused_in_one_sentence(project: Path) -> None:
    assert "There are: lend." in str(refused(project, "lent"))
    main = project / "app" / "main.py"
    main.write_text(MAIN.replace("Lending(shelf),", "*lending(shelf),"))
    assert "No list of app/ has Lend(…) in it" in str(refused(project))
    main.write_text(MAIN + "# more\n")
    assert "app/main.py has changes that are not committed" in str(refused(project))
    main.write_text(MAIN + "(")
    assert "app/main.py is no Python that can be read here: line 10" in str(refused(project))
    main.write_text(MAIN)
    (project / "workflows" / "lend_v1.py").write_text("")
    assert "workflows/lend_v1.py exists already" in str(refused(project))


def test_nothing_is_written_unless_all_can_be(project: Path) -> None:
    before, version = texts(project), made(project)
    version.texts[project / "nowhere" / "x.py"] = ""
    with pytest.raises(StartupError, match="cannot be written: No such file"):
        version.write()
    assert texts(project) == before
