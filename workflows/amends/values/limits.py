"""How much room values may take: looked at before they are encoded, so that nothing large stops the event loop."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final

from pydantic import BaseModel

MIB: Final = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """What one saga may take: bytes of values as JSON, and seconds.

    `value` bounds each argument list, result, signal, state and event; `commit` what one commit writes; `between` is
    how long `run` may take from one of its words to the next: it decides, and waits for nothing else. `provider` is how
    long a step waits for a provider that is down.
    """

    value: int = 2 * MIB
    commit: int = 8 * MIB
    between: float = 30.0
    provider: float = 86_400.0


def exceeds(value: object, limit: int) -> bool:
    """Whether a value's JSON certainly has more than `limit` bytes.

    It counts from below and stops at the limit, so that a list of ten million numbers costs no more than a small one.
    A value that contains itself exceeds every limit.
    """
    left, parts = limit, [value]
    within: dict[int, int] = {}  # the containers around a part, and how many parts were left outside of each
    while parts:
        part = parts.pop()
        kind = type(part)
        if kind is str or issubclass(kind, _TEXTS):
            left -= len(part) + 2  # type: ignore[arg-type]
        elif kind is int:
            left -= part.bit_length() // 4 + 1  # type: ignore[attr-defined]
        elif kind in _SMALL or (within_it := contained_values(kind, part)) is None:
            left -= 1
        elif 2 * len(within_it) > left or _is_around(part, len(parts), within):
            return True
        else:
            within[id(part)] = len(parts)
            left -= 2
            parts += within_it
        if left < 0:
            return True
    return False


def _is_around(part: object, left: int, within: dict[int, int]) -> bool:
    """Whether a container is one of those around it; those that have been looked at whole are around nothing."""
    while within and left < next(reversed(within.values())):
        within.popitem()
    return id(part) in within


_TEXTS = (str, bytes, bytearray)
_SMALL: frozenset[type] = frozenset((float, bool, type(None)))


def contained_values(kind: type[Any], value: Any) -> Collection[Any] | None:
    """What a value consists of; None for what has no parts."""
    if issubclass(kind, dict):
        return [*value.keys(), *value.values()]
    if issubclass(kind, list | tuple | set | frozenset):
        found: Collection[Any] = value
        return found
    named = field_names(kind)
    return None if named is None else [getattr(value, name, None) for name in named]


def field_names(kind: type) -> tuple[str, ...] | None:
    """The fields of a class of records; None for any other class."""
    if kind not in _RECORDS:
        named = tuple(field.name for field in fields(kind)) if is_dataclass(kind) else None
        _RECORDS[kind] = tuple(kind.model_fields) if issubclass(kind, BaseModel) else named
    return _RECORDS[kind]


_RECORDS: dict[type, tuple[str, ...] | None] = {}
