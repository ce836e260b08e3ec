"""The command looks whether all folders of a project are such that Python merges them with Amends' own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.amends.harness import ROOT
from tests.amends.packaging.wheel import ended


def refused(project: Path, **environment: str) -> str:
    """What the command says of a folder that it does not work in."""
    done = ended(
        sys.executable, "-m", "amends", "schema", "check", cwd=project, **{"PYTHONPATH": str(ROOT)} | environment
    )
    assert done.returncode == 1
    return done.stderr


@pytest.mark.parametrize("ring", ["domain", "workflows", "app", "migrations"])
def test_a_folder_that_is_a_package_of_its_own_is_named(tmp_path: Path, ring: str) -> None:
    file = tmp_path / ring / "__init__.py"
    file.parent.mkdir()
    file.touch()
    assert refused(tmp_path) == (
        f"amends: {file} makes {ring!r} a package that hides the part of it that Amends brings.\n"
        f"amends: Remove that file: without it Python merges the folder {ring!r} with the one that Amends brings.\n"
    )


def test_an_interrupt_while_modules_are_imported_is_silent(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = ended(sys.executable, "-m", "amends", "--help", cwd=tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_file_of_such_a_name_is_named(tmp_path: Path) -> None:
    (tmp_path / "app.py").touch()
    said = refused(tmp_path)
    assert f"{tmp_path / 'app.py'} makes 'app' a module" in said
    assert "Give that file another name." in said


def test_what_another_installed_package_hides_is_told_by_its_name(tmp_path: Path) -> None:
    installed = tmp_path / "site"
    (installed / "app").mkdir(parents=True)
    (installed / "app" / "__init__.py").touch()
    about = installed / "webthing-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: webthing\nVersion: 1.0\n")
    (about / "top_level.txt").write_text("app\n")
    project = tmp_path / "project"
    project.mkdir()
    said = refused(project, PYTHONPATH=f"{ROOT}:{installed}")
    assert f"{installed / 'app' / '__init__.py'} makes 'app' a package" in said
    assert "It is of webthing, which cannot be installed beside Amends: uninstall it." in said
