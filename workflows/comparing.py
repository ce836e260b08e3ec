"""What comes back of a value that is stored: the order and the numbers of jsonb, and whether anything was lost."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, time, tzinfo
from decimal import Decimal
from typing import Any, Final

from pydantic import BaseModel

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

    What is equal may have become what its annotation says: 1 is 1.0 as a float, and a text of an Enum a text.
    """
    found = next(_differences(given, back, ()), None)
    if found is None:
        return None
    path, one, other = found
    where, same = ".".join(path) or "it", type(one) is type(other)
    return f"{where} is {_a(one)} and comes back as {'another one' if same else _a(other)}"


def _a(value: object) -> str:
    return f"of type {type(value).__name__}"


def _differences(given: Any, back: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object, object]]:
    if _equal(given, back) or (isinstance(given, float) and isinstance(back, int) and given == float(back)):
        return
    if type(given) is not type(back):
        yield path, given, back
        return
    parts, others = _parts(given), _parts(back)
    if parts is None or others is None:
        if _compares(type(given)):
            yield path, given, back
        return
    if list(parts) != list(others) and set(parts) != set(others):
        yield path, given, back
        return
    for name, part in parts.items():
        yield from _differences(part, others[name], (*path, str(name)))


def _compares(cls: type) -> bool:
    """Whether values of a class that are not the same object may be equal."""
    return getattr(cls, "__eq__", None) is not getattr(object, "__eq__", None)


def _equal(given: Any, back: Any) -> bool:
    try:
        return bool(given == back)
    except Exception:  # a comparison of its own that fails says nothing; the parts are compared
        return False


def _parts(value: Any) -> Mapping[Any, Any] | None:
    """What a value is made of, by name; None for one that has no parts."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list | tuple):
        return dict(enumerate(value))
    if isinstance(value, BaseModel):
        return value.__dict__ | (value.__pydantic_extra__ or {})
    if is_dataclass(value):
        return {each.name: getattr(value, each.name, None) for each in fields(value)}
    return None


def is_same(one: Any, other: Any) -> bool:
    """Whether two values cannot be told apart: the same types and the same order, also inside of them."""
    if type(one) is not type(other):
        return False
    if isinstance(one, datetime | time) and (one.utcoffset() != other.utcoffset() or not _is_fixed(one.tzinfo)):
        return False
    if isinstance(one, dict) and list(one) != list(other):
        return False
    parts, others = _parts(one), _parts(other)
    if parts is None or others is None:
        return _equal(one, other) and (not isinstance(one, float) or str(one) == str(other))
    return parts.keys() == others.keys() and all(is_same(part, others[name]) for name, part in parts.items())


def _is_fixed(zone: tzinfo | None) -> bool:
    """Whether a time zone says nothing that its offset does not."""
    return zone is None or zone.utcoffset(None) is not None
