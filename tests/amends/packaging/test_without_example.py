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
ENVIRONMENTS = (".*", "*.egg-info", "uv.lock")


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
        assert [path.name for path in (left / ring).iterdir() if path.name != "__pycache__"] == ["amends"], (
            "the list above has all of the example"
        )


@pytest.mark.soak
def test_types_hold(left: Path) -> None:
    run(sys.executable, "-m", "mypy", "amends.py", "domain", "workflows", "app", "migrations", "tests", cwd=left)


def test_import_rules_hold(left: Path) -> None:
    run(sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", cwd=left)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("needing", "folder"),
    [
        ("not postgres", "tests/amends/domain"),
        ("not postgres", "tests/amends/workflows/engine"),
        ("postgres", "tests/amends/store/sagas/test_settled.py"),
        pytest.param("not postgres", "tests/amends", marks=pytest.mark.soak),
        pytest.param("postgres", "tests/amends", marks=pytest.mark.soak),
    ],
)
def test_its_own_tests_pass(left: Path, needing: str, folder: str) -> None:
    """Those that look at the whole checkout, or start servers of the example, are left out."""
    chosen = f"({needing}) and not (code or processes or slow or soak)"
    ignored = [f"--ignore=tests/amends/{name}" for name in ("code", "docs", "packaging")]
    run(sys.executable, "-m", "pytest", "-q", "-n0", "-m", chosen, folder, *ignored, cwd=left)
