"""Errors of a team's own files when they are imported and built: one sentence with the place, and the remedy."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from domain.amends.errors import DefinitionError, StartupError
from workflows.amends.values.printable import class_name, error_message, one_line, shortened

TERMINATED: Final = 128 + signal.SIGTERM
"""The status of a command that is told to end, wherever it is."""
NOT_THEIRS: Final = ("amends", ".venv", "site-packages")
"""Folders in a project that hold no code of the team."""
NUL: Final = "source code string cannot contain null bytes"
"""Python's words for what it does not say where."""


@contextmanager
def team_code() -> Iterator[None]:
    """Whatever code of the team raises here becomes a StartupError that says where; other errors stay what they are."""
    try:
        yield
    except (StartupError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if isinstance(error, SystemExit) and error.code == TERMINATED:
            raise
        if (place := team_place(error)) is None:
            raise
        raise error_in_words(error, place) from error


def error_in_words(error: BaseException, place: str) -> StartupError:
    """The error with the file and line that it comes from."""
    problem, remedy = _explained(error)
    return StartupError(f"{place}: {shortened(one_line(problem))}", remedy)


def team_place(error: BaseException) -> str | None:
    """The file and line of the team's that an error comes from, as `workflows/sell.py:12`; None if it has none."""
    if NUL in error_message(error) and (named := _file_with_nul()):
        return named
    if isinstance(error, SyntaxError) and (shown := _of_team(error.filename or "")):
        return f"{shown}:{error.lineno or 1}"
    frames = reversed(traceback.extract_tb(error.__traceback__))
    return next((f"{shown}:{frame.lineno}" for frame in frames if (shown := _of_team(frame.filename))), None)


def _file_with_nul() -> str | None:
    """The first file of the team's with a NUL byte, and its line: Python names only the one that imports it."""
    for file in sorted(Path.cwd().rglob("*.py")):
        if (seen := _of_team(str(file))) and b"\0" in (content := file.read_bytes()):
            return f"{seen}:{content[: content.index(0)].count(10) + 1}"
    return None


def _of_team(name: str) -> str | None:
    """A file as it is seen from the project's folder; None if it is not the team's."""
    here, file = Path.cwd(), Path(name)
    if not file.is_absolute() or not file.is_relative_to(here):
        return None
    seen = file.relative_to(here)
    return None if set(NOT_THEIRS) & set(seen.parts) or seen == Path("amends.py") else str(seen)


def _explained(error: BaseException) -> tuple[str, str]:
    """What is wrong, and what to do about it."""
    if NUL in error_message(error):
        return "this file has a NUL byte, and no Python file may.", "Save it as text in UTF-8."
    if isinstance(error, SyntaxError):
        line = f": {error.text.strip()}" if error.text else ""
        return f"this is no Python, {error.msg}{line}", "Correct that line."
    if isinstance(error, ModuleNotFoundError):
        remedy = "Correct the name, or install the package: a line of the dependencies in pyproject.toml."
        return f"there is no module {error.name!r}.", remedy
    if isinstance(error, ImportError):
        remedy = "Correct the name; if it is there, these two files import each other: move what both need to a third."
        return f"{error_message(error, None)}.", remedy
    if isinstance(error, DefinitionError):
        return f"{error_message(error, None)}.", "Correct that declaration."
    if isinstance(error, SystemExit):
        return f"this ends the program: sys.exit({error.code!r})", "Put it into a function, or remove it."
    cause = getattr(error, "orig", None) or error  # SQLAlchemy's own text repeats the whole statement
    return f"{class_name(cause)}: {error_message(cause, None)}", "Correct that; nothing was started."
