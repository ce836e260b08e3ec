"""What errors say of themselves, whatever their own code does when it is asked."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

LONGEST: Final = 2000
"""How many characters of an error's text are kept."""
LONGEST_NAME: Final = 200


def class_name(error: object) -> str:
    """The name of the class of an error, or of another value; at most so many characters."""
    return type(error).__name__[:LONGEST_NAME]


def error_message(error: BaseException, most: int | None = LONGEST) -> str:
    """An error's text, or its class's name if it says nothing; at most so many characters."""
    return _text(error, str, most) or class_name(error)


def error_repr(error: BaseException) -> str:
    """An error as Python writes it, with its class: ValueError('no'); at most so many characters."""
    return _text(error, repr, LONGEST) or class_name(error)


def value_repr(value: object) -> str:
    """Any value as Python writes it, or why it cannot."""
    return _text(value, repr, None)


def shortened(text: str, most: int = LONGEST) -> str:
    """A text, or the beginning of one that is longer than so many characters, which says so."""
    return text if len(text) <= most else f"{text[:most]}… (shortened: it has {len(text)} characters)"


def _text(error: object, how: Callable[[object], str], most: int | None) -> str:
    try:
        return str.__getitem__(how(error), slice(most))
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


def misfit(error: BaseException) -> str:
    """How a value differs from its annotation: by its type, and not the value, as pydantic's warnings say it."""
    said = " ".join(error_message(error).split())
    found = _UNEXPECTED.findall(said)
    return (
        "; ".join(f"{field and field + ': '}expected {wanted}, not {given}" for wanted, field, given in found) or said
    )


def undeclared(error: BaseException) -> str:
    """Why pydantic does not know what a class consists of, and what to do about it."""
    said = error_message(error)
    found = _UNDECLARED.match(said)
    return f"{found[1]} declares no fields; make it a dataclass" if found else said.splitlines()[0]


_UNEXPECTED: Final = re.compile(
    r"Expected `([^`]*)` - serialized value may not be as expected \[(?:field_name='(\w+)', )?input_value=.*?, "
    r"input_type=(\w+)\]"
)
_UNDECLARED: Final = re.compile(
    r"Unable to generate pydantic-core schema for (?:<class ')?(.*?)(?:'>)?\. Set ", re.DOTALL
)
