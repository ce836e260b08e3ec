"""What is said of errors that keep a read model from going on."""

from __future__ import annotations

from pydantic import ValidationError

from domain.amends.errors import AmendsError
from workflows.amends.history.problem import problem_of
from workflows.amends.values.codec import wrong_fields
from workflows.amends.values.printable import one_line

MOST = 1000
"""The most characters of an error that are kept."""
SHOWN = 100
"""The most characters of a key in a line."""


def is_of_python_values(error: BaseException) -> bool:
    """Whether Python raised an error about a value that a type does not take."""
    return isinstance(error, ValueError | RecursionError | Warning)


def failure_text(error: Exception) -> str:
    """The reason why a build is not followed, in a line that is the same at each try."""
    message = problem_of(error).message
    return storable_text(message if isinstance(error, AmendsError) else f"{type(error).__name__}: {message}")


def unreadable_row(table: str, error: Exception) -> str:
    """The reason why a row of a table does not read back, without its values."""
    if isinstance(error, ValidationError):
        _, *path = (found := wrong_fields(error)[0]).field.split(".")
        why = f"{'.'.join(path) or 'the row'}: {found.problem}"
    else:
        why = f"{type(error).__name__}: {problem_of(error).message}"
    return storable_text(f"its row in {table} does not read back: {why}; mend the row and retry, or rebuild")


def storable_text(text: str) -> str:
    """A text as it can be stored, at most 1000 characters of it."""
    return text[:MOST].replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def short_key(key: str) -> str:
    """A key in a line, shortened if it is long."""
    shown = one_line(key[:SHOWN])
    return shown if len(key) <= SHOWN else f"{shown}… ({len(key)} characters)"
