"""Whether what was stored in one shape can be read in another one, into which its type has grown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app.amends.schema.shapes import ShapeKey
from workflows.amends.redaction.shapes import Shape, without_marks

GROWING: Final = ("input", "output", "argument", "result", "signal", "refusal")
"""Kinds whose stored values are read back by code of the same version: only fields that may be missing are added."""


def may_change(key: ShapeKey, known: Shape, shape: Shape) -> bool:
    """Whether data that was stored in the old shape fits the new one too.

    States are only shown. Calls are written in every shape that their arguments have had when a saga is replayed, and
    rows have columns.
    """
    return key.kind == "state" or (key.kind in GROWING and _grown(without_marks(known), without_marks(shape)))


def _grown(before: Any, after: Any) -> bool:
    """Whether two shapes are the same but for fields that may be missing."""
    if before == after:
        return True
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return False
    if "prefixItems" in before and "prefixItems" in after:
        return _have_grown(before, after)
    if any(before.get(word) != after.get(word) for word in {*before, *after} - {"properties", "required", "$defs"}):
        return False
    return set(after.get("required", ())) <= set(before.get("required", ())) and all(
        name in after.get(word, {}) and _grown(part, after[word][name])
        for word in ("properties", "$defs")
        for name, part in before.get(word, {}).items()
    )


def _have_grown(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether arguments are the same but for more of them that may be missing at their end."""
    items, more = before["prefixItems"], after["prefixItems"]
    if len(items) > len(more) or after.get("minItems", len(more)) > len(items):
        return False
    return all(map(_grown, items, more)) and _grown(_without_items(before), _without_items(after))


def _without_items(shape: Mapping[str, Any]) -> dict[str, Any]:
    return {word: said for word, said in shape.items() if word not in ("prefixItems", "minItems", "maxItems")}


def what_changed(known: Any, shape: Any) -> str:
    """The fields that differ, in words."""
    before, after = known.get("properties", {}), shape.get("properties", {})
    said = [f"{name} is gone" for name in before if name not in after]
    said += [f"{name} is new" for name in after if name not in before]
    said += [f"{name} is different" for name in after if name in before and before[name] != after[name]]
    return ", ".join(said) or "something below its fields is different"
