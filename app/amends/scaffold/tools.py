"""The programs that projects are made with: git and uv. Each has a time limit, and fails with its own words."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.amends.security.passwords import without_secrets
from domain.amends.errors import StartupError

PERSON = ("name", "email")
"""What git wants to know of whoever commits."""
SECONDS = 600.0
"""How long a program may take."""


def find_uv(near: Path) -> str:
    """The program uv, on the path or in `.uv` of a folder. Raises StartupError if there is none."""
    found = shutil.which("uv") or shutil.which("uv", path=near / ".uv" / "bin")
    if found is None:
        raise StartupError("There is no uv here, which installs packages.", "Install it: python3 -m pip install uv")
    return found


class ToolFailed(StartupError):
    """{problem}

    What to do about it: {remedy}
    """

    said: str
    """The program's own words."""

    @property
    def reason(self) -> str:
        """The line of them that says most: what git says last, or else the first cause that uv names."""
        lines = [line.strip() for line in self.said.splitlines() if line.strip()]
        told = [line for begin in ("fatal: ", "cause: ", "error: ") for line in lines if line.startswith(begin)]
        return told[0].partition(": ")[2] if told else " ".join(lines)


def require_git(purpose: str) -> None:
    """Require that there is a git, which is needed for that. Raises StartupError."""
    if shutil.which("git") is None:
        raise StartupError(f"There is no git here, {purpose}.", "Install git.")


def run_tool(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """What a program prints. Raises ToolFailed if it fails, and StartupError if it is missing or takes too long."""
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except FileNotFoundError as error:
        raise StartupError(f"There is no program {command[0]}.", "Install it, and try again.") from error
    except subprocess.TimeoutExpired as error:
        raise StartupError(
            f"{' '.join(command)} has not ended within {SECONDS:.0f} s.", "See what it waits for, and try again."
        ) from error
    if done.returncode:
        said = without_secrets((done.stdout + done.stderr).strip())
        raise ToolFailed(f"{' '.join(command)} failed:\n{said}", f"Mend that in {folder}, and try again.", said)
    return done.stdout


def commit_all(folder: Path, message: str) -> None:
    """Commit all that there is in a folder, and nothing else of its repository.

    Who is not known to git is named after the folder.
    """
    known = all(
        run_tool(["git", "config", "--default", "", "--get", f"user.{each}"], folder).strip() for each in PERSON
    )
    name = [] if known else ["-c", f"user.name={folder.name}", "-c", "user.email=nobody@localhost"]
    run_tool(["git", "add", "--all", "."], folder)
    run_tool(["git", *name, "commit", "--quiet", "--no-verify", "--message", message, "--", "."], folder)
