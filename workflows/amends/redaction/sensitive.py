"""Marked values in plain JSON data: found by the annotations, and hidden from errors and logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from domain.amends.sensitive import MASK
from workflows.amends.redaction.marking import UNKNOWN
from workflows.amends.redaction.shapes import Part, marked_paths, shape_of
from workflows.amends.redaction.visibility import Visibility
from workflows.amends.values.memoised import memoised

SHORTEST: Final = 4
"""A value that is shorter is not looked for in texts: it would be found everywhere."""


def marked_shape(annotation: Any) -> Visibility | None:
    """Where an annotation's values have marked parts; None if they have none."""
    return memoised(_known, annotation, _marks)


_known: Final[dict[Any, Visibility | None]] = {}


def _marks(annotation: Any) -> Visibility | None:
    made = shape_of(annotation)
    part = Part(made, made, lasting=True)
    return Visibility([part], [part]) if set(marked_paths(made).values()) - {UNKNOWN} else None


def hidden_values(data: Any, where: Visibility | None) -> Iterator[str]:
    """The marked values themselves, as text."""
    if where is not None:
        yield from value_texts(where.hidden(data))


def value_texts(values: Iterable[Any]) -> Iterator[str]:
    """What values say as text, as far as it is long enough to be looked for."""
    for value in values:
        yield from _texts(value)


def _texts(data: Any) -> Iterator[str]:
    if isinstance(data, dict | list):
        for part in data.values() if isinstance(data, dict) else data:
            yield from _texts(part)
    elif data is not None and len(str(data)) >= SHORTEST:
        yield str(data)


def without_values(data: Any, hidden: tuple[str, ...] = ()) -> Any:
    """What others say, such as an error's text, without values that must not be shown, and as it can be stored.

    Halves of characters and the character U+0000 are written out: no database and no JSON takes them.
    """
    if isinstance(data, str):
        for value in hidden:
            data = data.replace(value, MASK)
        return data.encode("utf-8", "backslashreplace").decode().replace("\0", "\\u0000")
    if isinstance(data, dict):
        return {without_values(name, hidden): without_values(value, hidden) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [without_values(item, hidden) for item in data]
    return MASK if str(data) in hidden else data
