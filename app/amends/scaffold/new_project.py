"""A new project: its files in a folder of their own, its packages locked, and a repository with the first commit."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.amends.scaffold.source import CHECKOUT, AmendsSource
from app.amends.scaffold.templates import ProjectName, project_files
from app.amends.scaffold.tools import ToolFailed, commit_all, find_uv, run_tool
from domain.amends.errors import Invalid, StartupError

PROGRAMS = ("run",)
"""Files that can be run."""


def make_project(folder: Path, name: ProjectName, source: AmendsSource, bare: bool, say: Callable[[str], None]) -> None:
    """Make a project in a folder that is not there yet, or empty: all of it, or nothing.

    Raises Invalid for a folder that holds something, and StartupError if it cannot be written, or if a program is
    missing or fails.
    """
    try:
        _make_project(folder.resolve(), name, source, bare, say)
    except OSError as error:
        raise StartupError(f"{folder} cannot be made: {error}.", "Choose another folder.") from error


def _make_project(
    folder: Path, name: ProjectName, source: AmendsSource, bare: bool, say: Callable[[str], None]
) -> None:
    if folder.exists() and not folder.is_dir():
        raise Invalid("folder", f"{folder} is a file: choose another name")
    if folder.exists() and any(folder.iterdir()):
        raise Invalid("folder", f"{folder} is there already and not empty: choose another one")
    with (
        _folders_above(folder),
        tempfile.TemporaryDirectory(prefix=f".{name.name}-", dir=folder.parent) as unfinished,
    ):
        made = Path(unfinished) / folder.name
        say(f"Writing the files of {name.title} …")
        for where, content in project_files(name, source, bare):
            path = made / where
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o755 if where in PROGRAMS else 0o644)
        _lock(made, source, say)
        run_tool(["git", "init", "--quiet", "--initial-branch=main"], made)
        commit_all(made, f"{name.title}, on Amends")
        if folder.exists():
            folder.rmdir()
        os.rename(made, folder)
    if around := next((each for each in folder.parents if (each / ".git").exists()), None):
        own = shlex.quote(str(folder / ".git"))
        say(f"It lies in the repository {around}, and has its own. To make it a part of that one: rm -rf {own}")


@contextmanager
def _folders_above(folder: Path) -> Iterator[None]:
    """The folders above it; those that were not there are removed again if it is not made."""
    missing = [each for each in folder.parents if not each.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with suppress(OSError):
            for each in missing:
                each.rmdir()
        raise


def _lock(folder: Path, source: AmendsSource, say: Callable[[str], None]) -> None:
    """Lock the packages' versions. Without a package index `./run` does that later, if the project keeps a wheel.

    Raises StartupError for a version or a place of git's that is not there.
    """
    say("Choosing the packages' versions …")
    try:
        run_tool([find_uv(CHECKOUT), "lock", "--quiet"], folder)
    except StartupError as error:
        if source.wheel is None:
            raise source.missing(error) if isinstance(error, ToolFailed) else error from error
        reason = error.reason if isinstance(error, ToolFailed) else error.problem
        say(f"uv.lock could not be made now, ./run makes it: {reason}")
