"""Plain JSON data that can be stored: what JSON or Postgres does not take is refused before it gets there."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from domain.amends.errors import TooLarge, Unstorable


def require_storable(data: Any, what: str, limit: int | None = None) -> int:
    """How many bytes plain data takes as text. Raises Unstorable and TooLarge as `storable_json` does."""
    return len(storable_json(data, what, limit))


def storable_json(data: Any, what: str, limit: int | None = None) -> bytes:
    """Plain data as text, as it will be stored.

    Raises Unstorable for what JSON or Postgres does not take, TooLarge for more than `limit` bytes.

    Not taken are halves of characters, the character U+0000, numbers that JSON has no word for, and numbers of more
    digits than Python reads.
    """
    try:
        written = to_json(data)
    except PydanticSerializationError as error:
        raise Unstorable(f"{what}: {error}") from error
    if limit is not None and len(written) > limit:
        raise TooLarge(what, limit)
    if b"\\u0000" in written and _any_text(data, "\0"):
        raise Unstorable(f"{what} contains the character U+0000")
    if not is_finite(written, data):
        raise Unstorable(f"{what} contains a number that JSON has no word for: NaN or infinity")
    if len(written) > MOST_DIGITS and not _is_legible(data):
        raise Unstorable(f"{what} contains a number of more than {MOST_DIGITS} digits")
    return written


MOST_DIGITS = 4300
"""Python refuses to read longer numbers (sys.int_info.default_max_str_digits)."""


def _is_legible(data: Any) -> bool:
    """Whether no number in plain data has too many digits to be read."""
    parts = [data]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            parts += part.values()
        elif isinstance(part, list):
            parts += part
        elif isinstance(part, int) and part.bit_length() > 14_280 and abs(part) >= 10**MOST_DIGITS:
            return False
    return True


def _any_text(data: Any, part: str) -> bool:
    """Whether some text in plain data contains this."""
    if isinstance(data, dict):
        return any(_any_text(name, part) or _any_text(inner, part) for name, inner in data.items())
    return any(_any_text(inner, part) for inner in data) if isinstance(data, list) else part in str(data)


def is_finite(written: bytes, data: Any) -> bool:
    """Whether JSON has a word for every number in plain data, whose text this is."""
    if b"NaN" not in written and b"Infinity" not in written:
        return True
    try:
        json.dumps(data, allow_nan=False)
    except ValueError:
        return False
    return True
