"""Without the example all of Amends is left, and it passes its own tests: a team's business is a project beside it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.amends.harness import ROOT
from tests.amends.packaging.wheel import run

EXAMPLE = [
    "domain/banking", "domain/ordering", "domain/travel", "domain/money.py", "domain/events.lock.json",
    "workflows/place_order.py", "workflows/book_trip.py", "workflows/book_group_trip.py", "workflows/transfer_money.py",
    "app/main.py", "app/settings.py", "app/demo.py", "app/gateways", "app/http", "app/sandbox",
    "migrations/versions", "migrations/rights.sql",
    "tests/example", "tests/samples",
]  # fmt: skip
ENVIRONMENTS = (".*", "__pycache__", "*.egg-info", "uv.lock")
WITH_POSTGRES = ["test_append.py", "test_commit.py", "test_starting.py"]

pytestmark = [pytest.mark.slow, pytest.mark.soak]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout from which the example is gone."""
    copy = tmp_path_factory.mktemp("left") / "checkout"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*ENVIRONMENTS))
    for name in EXAMPLE:
        path = copy / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return copy


def test_nothing_but_amends_is_left_in_its_folders(left: Path) -> None:
    for ring in ("domain", "workflows", "app", "migrations"):
        assert [path.name for path in (left / ring).iterdir()] == ["amends"], "the list above has all of the example"


def test_types_and_import_rules_hold(left: Path) -> None:
    folders = ["amends.py", "domain", "workflows", "app", "migrations", "tests"]
    run(sys.executable, "-m", "mypy", *folders, cwd=left)
    run(sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", cwd=left)


@pytest.mark.timeout(600)
def test_all_quick_tests_pass(left: Path) -> None:
    others = ("code", "docs", "packaging")  # they look at the whole checkout, or run what this file runs
    ignored = [f"--ignore=tests/amends/{name}" for name in others]
    pytest_in(left, "-p", "tests.amends.packaging.quickly", "tests/amends", *ignored)


def test_some_others_pass_with_a_database(left: Path) -> None:
    found = [str(path) for name in WITH_POSTGRES for path in (left / "tests" / "amends").rglob(name)]
    assert len(found) == len(WITH_POSTGRES)
    pytest_in(left, "-k", "postgres_18", *found)


def pytest_in(left: Path, *options: str) -> None:
    run(sys.executable, "-m", "pytest", "-q", "-n2", *options, cwd=left)
