"""What is made of an annotation, made once: also of one with metadata that has no hash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

T = TypeVar("T")

_unhashable: Final[dict[int, Any]] = {}
"""Annotations that are known by their ids: here they stay, so that no other one gets their id."""


def memoised(known: dict[Any, T], annotation: Any, make: Callable[[Any], T]) -> T:
    """What `known` has of an annotation; made if it has nothing."""
    try:
        return known[annotation]
    except KeyError:
        key = annotation
    except TypeError:
        key = id(annotation)
        if key in known:
            return known[key]
        _unhashable[key] = annotation
    made = known[key] = make(annotation)
    return made
