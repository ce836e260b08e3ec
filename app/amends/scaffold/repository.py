"""A project in a git repository, its own or one that holds other things too: what an upgrade has left, and its undo."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from app.amends.scaffold.tools import require_git, run_tool
from domain.amends.errors import StartupError

UNDO: Final = "git restore --staged --worktree ."
"""Undoes all that is staged in a project's folder, and nothing beside it."""
ASIDE: Final = "git stash push --include-untracked -- ."
"""Undoes also what is not staged, and keeps it."""
MARK: Final = Path(".venv", "upgrading")
"""Stands in a project from the begin of an upgrade until its changes are committed or undone; it holds its words."""


def _require_clean(root: Path) -> None:
    """Require that whatever is changed in this folder can be undone by git. Raises StartupError."""
    _require_repository(root)
    if not run_tool(["git", "ls-files", "pyproject.toml"], root):
        raise StartupError("pyproject.toml is not in git, so nothing could be undone.", "Commit the project's files.")
    if Path(root, run_tool(["git", "rev-parse", "--git-path", "MERGE_HEAD"], root).strip()).exists():
        raise StartupError("A merge is under way in this repository.", "Finish it, or end it: git merge --abort")
    if changed := uncommitted(root):
        if told := left_by_upgrade(root):
            raise StartupError(f"{told}:\n{changed}", f"Commit them if they are good, or put them aside: {ASIDE}")
        raise StartupError(f"There are changes that are not committed:\n{changed}", "Commit them, or stash them.")


def _require_repository(root: Path) -> None:
    require_git("which undoes an upgrade that fails")
    for folder in (root, *root.parents):
        if (folder / ".git").exists():
            return
    raise StartupError("This folder is in no git repository, so nothing could be undone.", "Run git init, and commit.")


def uncommitted(root: Path) -> str:
    """What is changed in this folder and not committed, as git lists it; empty if nothing is."""
    return run_tool(["git", "status", "--porcelain", "."], root).strip("\n")


def undo_all(root: Path) -> None:
    """Undo whatever is changed in this folder, with the files that are new in it."""
    run_tool(["git", "add", "--all", "."], root)
    run_tool(UNDO.split(), root)


@contextmanager
def marked_upgrade(root: Path, words: str) -> Iterator[None]:
    """Keep the mark as long as this is open, and after that while something is not committed.

    Raises StartupError if another process upgrades the project.
    """
    with (root / MARK).open("a+") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StartupError("Another upgrade of this project is under way.", "Wait for it, or stop it.") from error
        _require_clean(root)
        mark.truncate(0)
        mark.write(words)
        mark.flush()
        try:
            yield
        finally:
            if not uncommitted(root):
                (root / MARK).unlink(missing_ok=True)


def left_by_upgrade(root: Path) -> str:
    """What is said of an upgrade whose changes are not committed; empty if there is none."""
    with suppress(OSError, StartupError):
        if (words := (root / MARK).read_text()) and uncommitted(root):
            return f"{words} did not come to its end, and its changes are not committed"
    return ""
