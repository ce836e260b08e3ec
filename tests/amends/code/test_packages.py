"""What Amends needs of others is declared, and no newer version comes in unseen."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.amends.harness import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"].values()
RUNTIME = [
    Requirement(each) for each in [*PROJECT["project"]["dependencies"], *(each for extra in EXTRAS for each in extra)]
]
PINS = {Requirement(each).name: Requirement(each) for each in PROJECT["tool"]["uv"]["constraint-dependencies"]}
OURS = ("app", "domain", "workflows", "migrations")


def next_breaking(installed: Version) -> Version:
    """The next version that may break what fits this one: the next major, of 0.x the next minor."""
    return Version(f"0.{installed.minor + 1}") if installed.major == 0 else Version(f"{installed.major + 1}")


@pytest.mark.parametrize("requirement", RUNTIME, ids=lambda each: each.name)
def test_a_package_has_an_upper_bound(requirement: Requirement) -> None:
    installed = Version(version(requirement.name))
    assert installed in requirement.specifier
    assert next_breaking(installed) not in requirement.specifier
    assert Version("9999") not in requirement.specifier


@pytest.mark.parametrize("requirement", RUNTIME, ids=lambda each: each.name)
def test_a_pin_is_within_the_bounds(requirement: Requirement) -> None:
    pin = PINS.get(requirement.name)
    if pin is not None:
        (exact,) = pin.specifier
        assert exact.version in requirement.specifier


def test_what_is_imported_is_declared() -> None:
    declared = {canonicalize_name(each.name) for each in RUNTIME}
    found = packages_distributions()
    for name in sorted({name for folder in OURS for name in imported(folder)}):
        distributions = {canonicalize_name(each) for each in found.get(name, [])}
        assert distributions & declared, f"{name}, of {distributions}, is imported and not declared"


def imported(folder: str) -> set[str]:
    """Top-level names of others' modules that files of a folder import."""
    names: set[str] = set()
    for file in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return {name for name in names if name not in sys.stdlib_module_names and name not in OURS}
