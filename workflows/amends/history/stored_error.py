"""An error as events tell it. It stands apart from its readers, so that folding events needs none of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import JsonValue


@dataclass(frozen=True)
class Problem:
    """An error as it is stored: its name, its message, and its facts."""

    name: str
    message: str
    facts: dict[str, JsonValue] = field(default_factory=dict)
