"""The names of streams: which ones there may be, so that each can be stored, listed and asked for."""

from __future__ import annotations

from typing import Final

from domain.amends.errors import Invalid

LONGEST: Final = 500
"""Characters: as many as an index takes, whatever they are."""

OWN: Final = ("saga-", "projection-", "amends-")
"""How the streams begin that only Amends itself writes to."""


def require_stream(name: str, field: str = "stream") -> None:
    """Raise Invalid, naming the field, for what is no name of a stream, and say why."""
    if problem := _problem(name):
        raise Invalid(field, problem)


def require_business_stream(name: str) -> None:
    """Raise Invalid also for a stream that holds the history of a saga or of a read model."""
    require_stream(name)
    if name.startswith(OWN):
        raise Invalid(
            "stream",
            f"{name} is Amends' own: a stream of the business does not begin with saga-, projection- or amends-",
        )


def _problem(name: object) -> str | None:
    if not isinstance(name, str):
        return f"must be a text, not {type(name).__name__}"
    if not name.strip():
        return "is empty"
    if len(name) > LONGEST:
        return f"makes the name of a stream longer than {LONGEST} characters"
    if name in (".", ".."):
        return "cannot be . or .., which no path of HTTP can name"
    if any(_is_control(character) for character in name):
        return "contains a control character, such as a line break or U+0000, or half of a character"
    return None


def _is_control(character: str) -> bool:
    return character < " " or "\x7f" <= character <= "\x9f" or "\ud800" <= character <= "\udfff"
