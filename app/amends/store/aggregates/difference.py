"""Differences between two states, value by value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Change:
    """A value at a JSON Pointer (RFC 6901) before and after; None also stands for a missing value."""

    path: str
    before: Any
    after: Any


def differences(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """The smallest values that differ between two pieces of plain JSON data, in order of their paths."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            yield from differences(before.get(name), after.get(name), f"{path}/{_escaped(name)}")
    elif isinstance(before, list) and isinstance(after, list):
        for number in range(max(len(before), len(after))):
            yield from differences(_at(before, number), _at(after, number), f"{path}/{number}")
    elif before != after:
        yield Change(path, before, after)


def _at(items: list[Any], number: int) -> Any:
    return items[number] if number < len(items) else None


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
