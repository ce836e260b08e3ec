"""What errors say of themselves, whatever their own code does when it is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

LONGEST: Final = 2000
"""How many characters of an error's text are kept."""
LONGEST_NAME: Final = 200


def class_name(error: BaseException) -> str:
    """The name of an error's class; at most so many characters."""
    return type(error).__name__[:LONGEST_NAME]


def error_message(error: BaseException) -> str:
    """An error's text, or its class's name if it says nothing; at most so many characters."""
    return _text(error, str) or class_name(error)


def error_repr(error: BaseException) -> str:
    """An error as Python writes it, with its class: ValueError('no'); at most so many characters."""
    return _text(error, repr) or class_name(error)


def _text(error: BaseException, how: Callable[[object], str]) -> str:
    try:
        return str.__getitem__(how(error), slice(LONGEST))
    except BaseException as wrong:
        return f"{class_name(error)}, whose own text cannot be read: {class_name(wrong)}"


def one_line(text: str) -> str:
    """A text in a few words for a list or a reason: on one line, with single spaces, and otherwise escaped."""
    return escaped(" ".join(text.split()))


def escaped(text: str) -> str:
    """A text for a log or a terminal: what would steer either is written as Python writes it.

    These are all characters that do not print: controls, line separators, changes of direction, lone surrogates.
    """
    return text if text.isprintable() else "".join(_escaped(part) for part in text)


def _escaped(part: str) -> str:
    return part if part.isprintable() else repr(part)[1:-1]
