"""What comes back of a value that is stored: the order and the numbers of jsonb, and whether anything was lost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final, TypeAlias
from uuid import UUID

from pydantic import BaseModel

from workflows.amends.values.limits import field_names

_ODD: Final = re.compile(rb"[0-9]e\+|-0\.0")
"""Numbers as text that jsonb gives back in another form: 1e+20 as an integer, and the negative zero as zero."""


def as_jsonb(data: Any) -> Any:
    """Plain JSON data as Postgres gives it back of a jsonb: keys by length and bytes, and large floats as integers."""
    match data:
        case dict():
            return {key: as_jsonb(data[key]) for key in sorted(data, key=_place)}
        case list():
            return [as_jsonb(item) for item in data]
        case float():
            return int(Decimal(repr(data))) if data.is_integer() and abs(data) >= 1e16 else data + 0.0
    return data


def is_as_in_jsonb(written: bytes) -> bool:
    """Whether the numbers in JSON text come back of a jsonb as they are written."""
    return not _ODD.search(written)


def _place(key: str) -> tuple[int, bytes]:
    written = key.encode()
    return len(written), written


def difference(given: object, back: object) -> str | None:
    """What is another value once it has come back, None if nothing is; no value is told.

    What is equal may have become what its annotation says: 1 is 1.0 as a float, and a text of an Enum a text. What has
    parts is compared by them, whatever its own comparison says.
    """
    found = _different(given, back)
    if found is None:
        return None
    path, one, other = found
    where, same = ".".join(path) or "it", type(one) is type(other)
    return f"{where} is {_a(one)} and comes back as {'another one' if same else _a(other)}"


def _a(value: object) -> str:
    return f"of type {type(value).__name__}"


_Path: TypeAlias = tuple[str, ...]


def _different(given: object, back: object) -> tuple[_Path, object, object] | None:
    """The first part that is another one, however deep it is."""
    left: list[tuple[Any, Any, _Path]] = [(given, back, ())]
    while left:
        one, other, path = left.pop()
        kind = type(one)
        if kind is not type(other):
            if _is_another(one, other):
                return path, one, other
        elif (parts := _parts(one)) is None:
            if not _is_alike(one, other):
                return path, one, other
        else:
            others = _parts(other) or {}
            if parts.keys() != others.keys():
                return path, one, other
            left += [
                (part, others[name], (*path, str(name)))
                for name, part in parts.items()
                if not _is_same_leaf(part, others[name])
            ]
    return None


def _is_same_leaf(one: object, other: object) -> bool:
    return type(one) is type(other) and type(one) in _LEAVES and one == other


_LEAVES: Final = frozenset((str, int, float, bool, type(None), Decimal, UUID, date, timedelta))


def _is_another(given: object, back: object) -> bool:
    """Whether a value is not what its annotation made of it: of another type, but equal."""
    if isinstance(given, float) and isinstance(back, int) and not isinstance(back, bool):
        return given != float(back)
    return not _equal(given, back)


def _is_alike(given: Any, back: Any) -> bool:
    """Whether two values without parts are equal, and at the same offset; what has no comparison is never another."""
    if isinstance(given, datetime | time) and given.utcoffset() != back.utcoffset():
        return False
    return _equal(given, back) or not _compares(type(given))


def _compares(cls: type) -> bool:
    """Whether values of a class that are not the same object may be equal."""
    return getattr(cls, "__eq__", None) is not getattr(object, "__eq__", None)


def _equal(given: Any, back: Any) -> bool:
    try:
        return bool(given == back)
    except Exception:  # a comparison of its own that fails says nothing
        return False


def _parts(value: Any) -> Mapping[Any, Any] | None:
    """What a value is made of, by name; None for one that has no parts."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list | tuple):
        return dict(enumerate(value))
    if isinstance(value, BaseModel):
        held = {name: value.__dict__.get(name) for name in type(value).model_fields}
        return held | (value.__pydantic_extra__ or {}) | (value.__pydantic_private__ or {})
    named = field_names(type(value))
    return None if named is None else {name: getattr(value, name, None) for name in named}


def is_identical(one: Any, other: Any) -> bool:
    """Whether two values cannot be told apart: the same types and the same order, also inside of them."""
    if type(one) is not type(other):
        return False
    if isinstance(one, datetime | time) and (one.utcoffset() != other.utcoffset() or not _is_fixed(one.tzinfo)):
        return False
    if isinstance(one, dict) and list(one) != list(other):
        return False
    if isinstance(one, BaseModel) and one.model_fields_set != other.model_fields_set:
        return False
    parts, others = _parts(one), _parts(other)
    if parts is None or others is None:
        return _equal(one, other) and (not isinstance(one, float) or str(one) == str(other))
    return parts.keys() == others.keys() and all(is_identical(part, others[name]) for name, part in parts.items())


def _is_fixed(zone: tzinfo | None) -> bool:
    """Whether a time zone says nothing that its offset does not."""
    return zone is None or zone.utcoffset(None) is not None
