"""Marked values in plain JSON data: found by the annotations, and hidden from lists, errors and logs."""

from __future__ import annotations

import types
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Final, TypeAlias, Union, get_args, get_origin, get_type_hints

from domain.sensitive import MASK, mark

Marks: TypeAlias = "bool | Mapping[str, Any] | None"
"""Where the marks are: True is here, a mapping is by the names of fields ("*" for all items), None is nowhere."""

EACH: Final = "*"
SHORTEST: Final = 4
"""A value that is shorter is not looked for in texts: it would be found everywhere."""


def marks(annotation: Any) -> Marks:
    """Where an annotation's values have marked parts."""
    return _known(annotation)


@cache
def _known(annotation: Hashable) -> Marks:
    return _marks(annotation, ())


def _marks(annotation: Any, above: tuple[Any, ...]) -> Marks:
    if mark(annotation):
        return True
    if annotation in above:
        return None
    origin, within = get_origin(annotation), (*above, annotation)
    if is_dataclass(annotation):
        hints = get_type_hints(annotation, include_extras=True)
        found = {each.name: _marks(hints[each.name], within) for each in fields(annotation)}
        return {name: part for name, part in found.items() if part} or None
    if origin in (Union, types.UnionType):
        return _merged([_marks(part, within) for part in get_args(annotation)])
    if origin in (tuple, list, dict):
        parts = get_args(annotation)[1:] if origin is dict else get_args(annotation)
        each = _merged([_marks(part, within) for part in parts if part is not Ellipsis])
        return {EACH: each} if each else None
    if origin is not None and hasattr(annotation, "__metadata__"):
        return _marks(get_args(annotation)[0], within)
    return None


def _merged(parts: list[Marks]) -> Marks:
    if any(part is True for part in parts):
        return True
    merged: dict[str, Any] = {}
    for part in parts:
        if isinstance(part, Mapping):
            for name, inner in part.items():
                merged[name] = _merged([merged.get(name), inner])
    return merged or None


def masked(data: Any, where: Marks) -> Any:
    """The data with its marked values masked; what is not there stays so."""
    if not where or data is None:
        return data
    if where is True:
        return MASK
    if isinstance(data, dict):
        return {name: masked(value, where.get(name, where.get(EACH))) for name, value in data.items()}
    return [masked(item, where.get(EACH)) for item in data] if isinstance(data, list) else data


def hidden_values(data: Any, where: Marks) -> Iterator[str]:
    """The marked values themselves, as text."""
    if where is True:
        yield from _texts(data)
    elif where and isinstance(data, dict):
        for name, value in data.items():
            yield from hidden_values(value, where.get(name, where.get(EACH)))
    elif where and isinstance(data, list):
        for item in data:
            yield from hidden_values(item, where.get(EACH))


def _texts(data: Any) -> Iterator[str]:
    if isinstance(data, dict | list):
        for part in data.values() if isinstance(data, dict) else data:
            yield from _texts(part)
    elif data is not None and len(str(data)) >= SHORTEST:
        yield str(data)


def cleaned(data: Any, hidden: tuple[str, ...] = ()) -> Any:
    """What others say, such as an error's text, without values that must not be shown, and as it can be stored.

    Halves of characters and the character U+0000 are written out: no database and no JSON takes them.
    """
    if isinstance(data, str):
        for value in hidden:
            data = data.replace(value, MASK)
        return data.encode("utf-8", "backslashreplace").decode().replace("\0", "\\u0000")
    if isinstance(data, dict):
        return {cleaned(name, hidden): cleaned(value, hidden) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [cleaned(item, hidden) for item in data]
    return MASK if str(data) in hidden else data
