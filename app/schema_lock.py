"""The shapes of all events, locked in a file: an event that changes its shape without a new version fails the build."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from app.catalogue import Catalogue
from domain.event import EventType, event_type, upcasters
from workflows.codec import json_schema

FILE = Path(__file__).parents[1] / "domain" / "events.lock.json"

Shapes: TypeAlias = dict[str, dict[str, Any]]
"""JSON Schemas by name and version (as text, for JSON has no other keys)."""

PROSE = ("title", "description")


def shapes(catalogue: Catalogue) -> Shapes:
    """What events look like in the code as it is."""
    found: Shapes = {}
    for cls in catalogue.vocabulary:
        name, version = event_type(cls)
        found[name] = {str(version): _without_prose(json_schema(cls, "serialization"))}
    return found


def read(file: Path = FILE) -> Shapes:
    """What is locked; nothing if there is no file yet."""
    if not file.exists():
        return {}
    locked: Shapes = json.loads(file.read_text(encoding="utf-8"))
    return locked


def write(locked: Shapes, file: Path = FILE) -> None:
    """Write the file anew; older versions stay in it for ever, for events are immutable."""
    file.write_text(json.dumps(locked, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def problems(catalogue: Catalogue, locked: Shapes) -> Iterator[str]:
    """What is wrong with the events of the code, compared with what is locked; each says what to do."""
    reached = {old for cls in catalogue.vocabulary for old in upcasters(cls)}
    today = shapes(catalogue)
    for name, versions in today.items():
        for version, shape in versions.items():
            known = locked.get(name, {}).get(version)
            if known is None:
                yield f"{name} version {version} is not locked yet: run ./run amends schema lock and commit the file."
            elif known != shape:
                yield (
                    f"{name} version {version} has changed its shape ({_what_changed(known, shape)}): raise it to "
                    f"@event({name!r}, version={int(version) + 1}), add @upcasts(…, {version}), and lock that."
                )
    for name, versions in locked.items():
        for version in versions:
            if version not in today.get(name, {}) and EventType(name, int(version)) not in reached:
                yield (
                    f"{name} version {version} is locked, so it may be stored, but no code here reads it: "
                    f"bring its class back, or add an upcaster that starts from it."
                )


def lock(catalogue: Catalogue, locked: Shapes, replacing: Collection[str] = ()) -> Shapes:
    """What is locked, with what is new in the code. A shape that is locked stays, unless it is to be replaced."""
    new = {name: dict(versions) for name, versions in locked.items()}
    for name, versions in shapes(catalogue).items():
        for version, shape in versions.items():
            known = new.setdefault(name, {})
            if version not in known or f"{name}:{version}" in replacing:
                known[version] = shape
    return new


def _without_prose(schema: Any, names: bool = False) -> Any:
    """A schema without what is only said about it; below `properties` and `$defs` the keys are names, not words."""
    if isinstance(schema, Mapping):
        return {
            key: _without_prose(value, not names and key in ("properties", "$defs"))
            for key, value in schema.items()
            if names or key not in PROSE
        }
    return [_without_prose(item) for item in schema] if isinstance(schema, list) else schema


def _what_changed(known: Any, shape: Any) -> str:
    before, after = known.get("properties", {}), shape.get("properties", {})
    said = [f"{name} is gone" for name in before if name not in after]
    said += [f"{name} is new" for name in after if name not in before]
    said += [f"{name} is different" for name in after if name in before and before[name] != after[name]]
    return ", ".join(said) or "something below its fields is different"
