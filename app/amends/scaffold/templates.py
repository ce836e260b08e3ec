"""The files of a new project: those that each has, and the example business or one small saga."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from app.amends.scaffold.source import CHECKOUT, AmendsSource
from domain.amends.errors import Invalid

HERE = Path(__file__).parent
EXAMPLE = HERE / "example"
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
DATABASES = ("template0", "template1")
"""The database of a project is called like it, and these two are there for other purposes."""
MOST: Final = 63
"""Characters of a database's name."""
TESTS = ("tests", "tests/domain", "tests/workflows")
"""Folders of tests are packages: no other package of that name comes in their way."""


@dataclass(frozen=True)
class ProjectName:
    """What a project is called, wherever it shows. Raises Invalid."""

    name: str

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise Invalid("name", f"{self.name!r} must be lower-case words joined by hyphens, such as --name book-shop")
        if self.name == "amends":
            raise Invalid("name", "'amends' is the package that the project depends on: give it a name of its own")
        if self.name in DATABASES:
            raise Invalid("name", f"{self.name!r} is a database that Postgres keeps to itself: give it another name")
        if len(self.name) > MOST:
            raise Invalid("name", f"{self.name!r} has more than {MOST} characters, and Postgres takes none so long")
        if _is_installed(self.name):
            raise Invalid("name", f"{self.name!r} is a package that is installed here: give it a name of its own")

    @property
    def title(self) -> str:
        return self.name.replace("-", " ").capitalize()

    def placed(self, text: str, source: AmendsSource, contents: str) -> str:
        """A template's text with all that is between double braces replaced."""
        values = {
            "name": self.name,
            "title": self.title,
            "class": self.title.title().replace(" ", ""),
            "package": self.name.replace("-", "_"),
            "requirement": source.requirement,
            "source": source.lines,
            "contents": contents,
        }
        return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], text)


def _is_installed(name: str) -> bool:
    """Whether it is a package that is here, such as those that Amends depends on: a project would hide it."""
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def project_files(name: ProjectName, source: AmendsSource, bare: bool) -> Iterator[tuple[str, bytes]]:
    """Each file of a new project: its path, and what it holds."""
    contents = (HERE / ("bare_contents.md" if bare else "example_contents.md")).read_text()
    folders = ["common", "bare"] if bare else ["common"]
    for folder in folders:
        for path in sorted((HERE / folder).rglob("*.tmpl")):
            where = str(path.relative_to(HERE / folder)).removesuffix(".tmpl")
            yield where, name.placed(path.read_text(), source, contents).encode()
    if not bare:
        yield from _example()
    for folder in TESTS:
        yield f"{folder}/__init__.py", b""
    if source.wheel is not None:
        yield f"wheels/{source.wheel.name}", source.wheel.read_bytes()


def _example() -> Iterator[tuple[str, bytes]]:
    """The example business, of the wheel or of a checkout: `pyproject.toml` says there which files a wheel holds."""
    for where, path in sorted(_example_files()):
        content = path.read_bytes()
        if where.startswith("tests/") and path.suffix == ".py":
            content = content.replace(b"tests.example.", b"tests.")
        yield where, content


def _example_files() -> Iterator[tuple[str, Path]]:
    if EXAMPLE.is_dir():
        places = {"": EXAMPLE}
    else:
        table = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
        prefix = f"{EXAMPLE.relative_to(CHECKOUT)}/"
        listed = {to: CHECKOUT / path for path, to in table["force-include"].items()}
        places = {to.removeprefix(prefix): path for to, path in listed.items() if to.startswith(prefix)}
    for where, path in places.items():
        for each in [path] if path.is_file() else path.rglob("*"):
            if each.is_file() and "__pycache__" not in each.parts:
                yield str(Path(where) / each.relative_to(path)), each
