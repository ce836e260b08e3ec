"""A project in a repository of its own or of others: an upgrade changes, commits and undoes only what is its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from app.amends.scaffold.repository import ASIDE, MARK, left_by_upgrade, marked_upgrade, uncommitted, undo_all
from app.amends.scaffold.tools import commit_all
from domain.amends.errors import StartupError
from tests.amends.harness import ROOT
from tests.amends.packaging.wheel import ended, run

KILLED = """
import os, signal
from pathlib import Path
from app.amends.scaffold.repository import marked_upgrade
with marked_upgrade(Path.cwd(), "An upgrade from 1 to 2"):
    Path("pyproject.toml").write_text("2")
    Path("wheels").mkdir()
    Path("wheels/amends-2.whl").write_text("2")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project's folder within a repository that holds other things too, one of which is changed, and one new."""
    folder = tmp_path / "services" / "shop"
    (folder / ".venv").mkdir(parents=True)
    (folder / ".gitignore").write_text(".venv\n")
    (folder / "pyproject.toml").write_text("1")
    (tmp_path / "other").write_text("1")
    run("git", "init", "--quiet", cwd=tmp_path)
    commit_all(tmp_path, "all")
    (tmp_path / "other").write_text("2")
    (tmp_path / "staged").write_text("2")
    run("git", "add", "staged", cwd=tmp_path)
    return folder


def beside(shop: Path) -> str:
    return run("git", "status", "--porcelain", cwd=shop.parents[1])


BESIDE = "A  staged\n M other\n"


def test_only_the_project_is_committed(shop: Path) -> None:
    with marked_upgrade(shop, "An upgrade"):
        (shop / "pyproject.toml").write_text("2")
        (shop / "new").write_text("2")
        commit_all(shop, "Amends 2")
    listed = run("git", "show", "--name-only", "--format=%s", "HEAD", cwd=shop).split("\n")
    assert listed == ["Amends 2", "", "services/shop/new", "services/shop/pyproject.toml", ""]
    assert sorted(beside(shop)) == sorted(BESIDE)
    assert not (shop / MARK).exists()


def test_only_the_project_is_undone(shop: Path) -> None:
    with pytest.raises(ZeroDivisionError), marked_upgrade(shop, "An upgrade"):
        (shop / "pyproject.toml").unlink()
        (shop / "new").write_text("2")
        undo_all(shop)
        raise ZeroDivisionError
    assert sorted(beside(shop)) == sorted(BESIDE)
    assert not (shop / MARK).exists()


def test_an_upgrade_that_was_killed_is_said_with_what_undoes_it(shop: Path) -> None:
    done = ended(sys.executable, "-c", KILLED, cwd=shop, PYTHONPATH=str(ROOT))
    assert done.returncode == -9
    with pytest.raises(StartupError) as raised, marked_upgrade(shop, "An upgrade from 1 to 2"):
        pass
    assert raised.value.problem.startswith("An upgrade from 1 to 2 did not come to its end, and its changes are not")
    assert ASIDE in raised.value.remedy
    up = ended(sys.executable, "-m", "amends", "up", "--host", "192.0.2.1", cwd=shop, PYTHONPATH=str(ROOT))
    assert f"its changes are not committed. To put them aside: {ASIDE}\n" in up.stderr
    run(*ASIDE.split(), cwd=shop)
    assert (shop / "pyproject.toml").read_text() == "1"
    assert uncommitted(shop) == left_by_upgrade(shop) == ""
    with marked_upgrade(shop, "An upgrade from 1 to 2"):
        pass
    assert not (shop / MARK).exists()


def test_two_upgrades_at_once_are_refused(shop: Path) -> None:
    with (
        marked_upgrade(shop, "An upgrade"),
        pytest.raises(StartupError, match="Another upgrade of this project is under way"),
        marked_upgrade(shop, "Another one"),
    ):
        pass


def test_what_git_could_not_undo_is_refused(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(root: Path) -> str:
        with pytest.raises(StartupError) as raised, marked_upgrade(root, "An upgrade"):
            pass
        return raised.value.problem

    (shop / "mine").write_text("2")
    assert refused(shop) == "There are changes that are not committed:\n?? services/shop/mine"
    (shop / "mine").unlink()
    (shop.parent / "other" / ".venv").mkdir(parents=True)
    (shop.parent / "other" / "pyproject.toml").write_text("1")
    assert refused(shop.parent / "other") == "pyproject.toml is not in git, so nothing could be undone."
    monkeypatch.setenv("PATH", "")
    assert refused(shop) == "There is no git here, which undoes an upgrade that fails."
