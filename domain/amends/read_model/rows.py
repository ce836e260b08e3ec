"""A row as its table gives it back: instants in UTC, no exponents, objects in the order of their keys."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final, TypeVar

Row = TypeVar("Row")

MOST_BEFORE: Final = 131_072
MOST_AFTER: Final = 16_383
"""How many digits Postgres' numeric has before and after the point."""

_PLAIN: Final = frozenset((str, int, bool, type(None)))


def as_stored_row(row: Row, columns: Iterable[tuple[str, str]]) -> Row:
    """The row that the next event meets, whether it was kept in memory or read; `columns` are names and types.

    Raises ValueError for an instant without a time zone, which would depend on that of the session, and for a number of
    more digits than numeric has.
    """
    changed: dict[str, Any] = {}
    for name, type in columns:
        value = getattr(row, name)
        kept = _part(value) if type == "jsonb" else _column(name, type, value)
        if kept is not value:
            changed[name] = kept
    return _with(row, changed)


def _column(name: str, type: str, value: Any) -> Any:
    if type == "timestamptz" and isinstance(value, datetime):
        if value.utcoffset() is None:
            raise ValueError(f"{name} has no time zone: make it with tz=UTC, or declare a date or a str")
        return _in_utc(value)
    if type == "numeric" and isinstance(value, Decimal):
        return _amount(value)
    return value + 0.0 if isinstance(value, float) else value


def _in_utc(instant: datetime) -> datetime:
    return instant if instant.tzinfo is UTC else instant.astimezone(UTC)


def fits_numeric(value: Decimal) -> bool:
    """Whether a number has as few digits as numeric takes; what is not finite has none."""
    exponent = value.as_tuple().exponent
    return not isinstance(exponent, int) or (value.adjusted() < MOST_BEFORE and -exponent <= MOST_AFTER)


def _amount(value: Decimal) -> Decimal:
    """A number as numeric has it: no exponent, no negative zero."""
    sign, _, exponent = value.as_tuple()
    if not fits_numeric(value):
        raise ValueError(f"a number has more digits than {MOST_BEFORE} before or {MOST_AFTER} after the point")
    if not isinstance(exponent, int) or (exponent <= 0 and not (sign and not value)):
        return value
    return Decimal(f"{value if value else abs(value):f}")


def _part(value: Any) -> Any:
    """A part of a column of type jsonb."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, datetime):
        return value if value.utcoffset() is None else _in_utc(value)
    if isinstance(value, float):
        return value + 0.0
    if isinstance(value, Decimal):
        return _amount(value)
    if type(value) is dict:
        return {key: _part(value[key]) for key in sorted(value, key=_place)}
    if type(value) in (list, tuple):
        return type(value)(map(_part, value))
    if is_dataclass(value) and not isinstance(value, type):
        parts = {each.name: getattr(value, each.name) for each in fields(value)}
        return _with(value, {name: kept for name, part in parts.items() if (kept := _part(part)) is not part})
    return value


def _place(key: object) -> tuple[int, bytes]:
    """Where jsonb has a key: the shorter ones come first."""
    plain = key.value if isinstance(key, Enum) else key
    written = (plain.isoformat() if isinstance(plain, datetime) else str(plain)).encode(errors="surrogatepass")
    return len(written), written


def _with(value: Row, changed: dict[str, Any]) -> Row:
    """The value with other fields; it may be frozen, and its `__init__` may do more than take them."""
    if not changed:
        return value
    again = copy(value)
    for name, part in changed.items():
        object.__setattr__(again, name, part)
    return again
