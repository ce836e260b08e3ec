"""What needs a person, a few lines for each cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def cause_lines(group: Mapping[str, Any]) -> Iterator[str]:
    """The lines of one group, from its JSON: what became of how many, their error, some of them, and what can be
    done."""
    count = f"{group['count']:,}{'+' if group['more'] else ''}"
    yield f"{group['cause']}  {count:>7}  {_what(group)}, since {group['since']}"
    if group["error"]:
        yield f"    {group['error']}"
    yield f"    such as {'  '.join(group['examples'])}"
    yield f"    possible: {', '.join(group['acts'])}"


def _what(group: Mapping[str, Any]) -> str:
    name, kind = f"{group['name']}:{group['version']}", group["kind"]
    if kind == "read-model":
        return f"keys of {name} set aside"
    waits = {"provider": f"waiting for {group['provider']}", "brake": "waiting at a brake"}
    became = waits.get(kind, kind)
    return f"{name} {became} at {group['step']}" if group["step"] else f"{name} {became}"
