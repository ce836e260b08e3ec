"""Locked shapes and marks of all stored data: none changes by accident, and none is forgotten."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias, get_args

from app.amends.schema.catalogue import DomainCatalogue
from app.amends.schema.growth import may_change, what_changed
from app.amends.schema.shapes import Kind, KnownShape, ShapeKey
from domain.amends.errors import Invalid
from domain.amends.event import EventType, upcasters
from domain.amends.sensitive import KEYWORD
from workflows.amends.redaction.marking import UNKNOWN
from workflows.amends.redaction.shapes import Part, Shape, essential_schema, marked_paths, without_marks
from workflows.amends.redaction.shapes import Path as Way

FORMAT: Final = 2
AGAIN: Final = "run ./run amends schema lock and commit the file"

Shapes: TypeAlias = dict[str, dict[str, Shape]]
"""Shapes by name and version (as text, for JSON has no other keys)."""


@dataclass(frozen=True)
class Lock:
    """A lock: shapes with their marks, earlier names of events, and the marks that were lifted on purpose."""

    shapes: dict[ShapeKey, Shape] = field(default_factory=dict)
    before: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lifted: dict[tuple[str, str], frozenset[Way]] = field(default_factory=dict)
    earlier: dict[ShapeKey, tuple[Shape, ...]] = field(default_factory=dict)
    """The shapes that arguments had before: calls that are recorded, by digests alone, were written in them."""

    @property
    def events(self) -> Shapes:
        """The shapes of events alone."""
        found: Shapes = {}
        for key, shape in self.shapes.items():
            if key.kind == "event":
                found.setdefault(key.name, {})[key.version] = shape
        return found

    def known(self) -> Iterator[KnownShape]:
        """Everything that is locked, also shapes that the code has no more."""
        for key, shape in self.shapes.items():
            yield KnownShape(key, shape, self.before.get(key.name, ()) if key.kind == "event" else ())
        yield from (KnownShape(key, shape) for key, shapes in self.earlier.items() for shape in shapes)

    def marks(self, kind: str, name: str) -> dict[Way, str]:
        """The marks of all versions of a name that are in force."""
        lifted = self.lifted.get((kind, name), frozenset())
        of_name = [shape for each, shape in self.shapes.items() if each[:2] == (kind, name)]
        found = {way: mark for shape in of_name for way, mark in marked_paths(shape).items()}
        return {way: mark for way, mark in found.items() if way not in lifted and mark != UNKNOWN}


def read_lock(file: Path, code: Sequence[KnownShape] = ()) -> Lock:
    """The lock of a file; an empty one if there is no file yet. `code` is asked for the marks of a file of the first
    format."""
    if not file.exists():
        return Lock()
    data = json.loads(file.read_text(encoding="utf-8"))
    if data.get("format") != FORMAT:
        return _of_first_format(data, code)
    return Lock(
        {
            ShapeKey(kind, name, version): shape
            for kind, names in data["shapes"].items()
            for name, versions in names.items()
            for version, shape in versions.items()
        },
        {name: tuple(before) for name, before in data["before"].items()},
        {
            (kind, name): frozenset(tuple(way.split(".")) if way else () for way in ways)
            for kind, names in data["lifted"].items()
            for name, ways in names.items()
        },
        {
            ShapeKey("argument", name, version): tuple(shapes)
            for name, versions in data.get("earlier_arguments", {}).items()
            for version, shapes in versions.items()
        },
    )


def write_lock(locked: Lock, file: Path) -> None:
    """Write the file anew; shapes that the code has no more stay in it for ever, for they may be stored."""
    shapes: dict[str, Any] = {}
    for key, shape in locked.shapes.items():
        shapes.setdefault(key.kind, {}).setdefault(key.name, {})[key.version] = shape
    lifted: dict[str, Any] = {}
    for (kind, name), ways in locked.lifted.items():
        lifted.setdefault(kind, {})[name] = sorted(".".join(way) for way in ways)
    before = {name: sorted(names) for name, names in locked.before.items()}
    data = {"format": FORMAT, "before": before, "lifted": lifted, "shapes": shapes}
    earlier: dict[str, Any] = {}
    for key, grown in locked.earlier.items():
        earlier.setdefault(key.name, {})[key.version] = list(grown)
    if earlier:
        data["earlier_arguments"] = earlier
    file.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def lock_problems(catalogue: DomainCatalogue, code: Sequence[KnownShape], locked: Lock) -> Iterator[str]:
    """The problems of the code, compared with a lock; each says what to do."""
    for each in code:
        yield from _changed(each, locked)
        yield from (_mark_gone(each.key, *lost) for lost in _lost(each, locked))
    today = {each.key for each in code}
    reached = {old for cls in catalogue.vocabulary for old in upcasters(cls)}
    for key in locked.shapes:
        if key.kind == "event" and key not in today and EventType(key.name, int(key.version)) not in reached:
            yield (
                f"{key.name} version {key.version} is locked, so it may be stored, but no code here reads it: "
                f"bring its class back, or add an upcaster that starts from it, or, if none is stored anywhere, run "
                f"./run amends schema lock --replace {key.as_text}."
            )


def _changed(each: KnownShape, locked: Lock) -> Iterator[str]:
    key, known = each.key, locked.shapes.get(each.key)
    name = f"{key.name} version {key.version}" if key.kind == "event" else str(key)
    if known is None:
        yield f"{name} is not locked yet: {AGAIN}."
    elif without_marks(known) != without_marks(each.shape):
        what = what_changed(without_marks(known), without_marks(each.shape))
        if key.kind == "event":
            yield (
                f"{name} has changed its shape ({what}): raise it to "
                f"@event({key.name!r}, version={int(key.version) + 1}), add @upcasts(…, {key.version}), and lock that."
            )
        elif may_change(key, known, each.shape):
            yield f"{name} is locked in another shape ({what}): {AGAIN}."
        else:
            yield (
                f"{name} has changed its shape ({what}): {_another(key)}, or, if none is stored anywhere, "
                f"run ./run amends schema lock --replace {key.as_text}."
            )
    elif not _lost(each, locked) and (known != each.shape or not _named(each, locked)):
        yield f"{name} is marked otherwise than it is locked: {AGAIN}."


def _another(key: ShapeKey) -> str:
    if key.kind == "refusal":
        return "give the new one a name of its own"
    return f"raise the version of {key.name.partition('.')[0]}"


def _named(each: KnownShape, locked: Lock) -> bool:
    """Whether the earlier names of an event are locked."""
    return set(each.before) <= set(locked.before.get(each.key.name, ()))


def _lost(each: KnownShape, locked: Lock) -> list[tuple[str, Way, str]]:
    """Marks that are locked, under which name, on parts that are there and not marked any more."""
    marked = marked_paths(each.shape)
    return [
        (name, way, mark)
        for name in (each.key.name, *each.before)
        for way, mark in locked.marks(each.key.kind, name).items()
        if _there(each.shape, way) and not any(way[: len(one)] == one for one in marked)
    ]


def _mark_gone(key: ShapeKey, name: str, way: Way, mark: str) -> str:
    at = ".".join(way)
    return (
        f"{key}: {at or 'it'} was {mark.upper()} and is not marked any more, but what is stored is what it was: "
        f"mark it again, or, if anybody may see it, run ./run amends schema lock --lift {key.kind}:{name}:{at}."
    )


def _there(shape: Shape, way: Way) -> bool:
    parts = [Part(shape, shape)]
    for step in way:
        found = [each for part in parts for each in part.alternatives()]
        parts = [
            inner
            for each in found
            for inner in (
                [*each.other_keys(), *each.items()]
                if step == "*"
                else [*(each.field(step) if step in each.field_names else ()), *_place(each, step)]
            )
        ]
    return bool(parts)


def _place(part: Part, step: str) -> Sequence[Part]:
    return part.tuple_items[int(step) : int(step) + 1] if step.isdecimal() else ()


def updated_lock(
    code: Sequence[KnownShape], locked: Lock, replacing: Collection[str] = (), lifting: Collection[str] = ()
) -> Lock:
    """The lock with the new shapes of the code. A locked shape stays, unless it is to be replaced: one that the code
    has no more is dropped.

    Raises Invalid for what is to be replaced and is neither locked nor in the code, and for a mark that is to be lifted
    and is not locked.
    """
    new = replace(
        locked,
        shapes=dict(locked.shapes),
        before=dict(locked.before),
        lifted=dict(locked.lifted),
        earlier=dict(locked.earlier),
    )
    for word in replacing:
        _drop_if_gone(new, word, {each.key for each in code})
    for word in lifting:
        _lift(new, word)
    for each in code:
        known = new.shapes.get(each.key)
        replaced = any(_is_named(each.key, word) for word in replacing)
        same = known is not None and without_marks(known) == without_marks(each.shape)
        fits = known is not None and may_change(each.key, known, each.shape)
        if known is None or replaced or ((same or fits) and not _lost(each, new)):
            new.shapes[each.key] = each.shape
            if known is not None and not same and each.key.kind == "argument":
                new.earlier[each.key] = (*new.earlier.get(each.key, ()), known)
        if each.key.kind == "event" and each.before:
            new.before[each.key.name] = tuple(sorted({*each.before, *new.before.get(each.key.name, ())}))
        if lifted := new.lifted.get(each.key[:2]):
            new.lifted[each.key[:2]] = lifted - marked_paths(each.shape).keys()
    return replace(new, lifted={key: ways for key, ways in new.lifted.items() if ways})


def _is_named(key: ShapeKey, word: str) -> bool:
    return word in (key.as_text, f"{key.name}:{key.version}")


def _drop_if_gone(new: Lock, word: str, in_code: Collection[ShapeKey]) -> None:
    meant = [key for key in {*new.shapes, *in_code} if _is_named(key, word)]
    if not meant:
        problem = "is neither locked nor in the code; one is written KIND:NAME:VERSION, event:order-placed:1"
        raise Invalid("replace", f"{word!r} {problem}")
    for key in meant:
        if key not in in_code:
            del new.shapes[key]


def _lift(new: Lock, word: str) -> None:
    kind, name, at = (*word.split(":", 2), "", "")[:3]
    key = ShapeKey(kind, name, "") if kind in get_args(Kind) else None  # type: ignore[arg-type]
    way = tuple(at.split(".")) if at else ()
    marked = {} if key is None else {w for k, s in new.shapes.items() if k[:2] == key[:2] for w in marked_paths(s)}
    if key is None or way not in marked:
        raise Invalid(
            "lift", f"{word!r} is no mark that is locked; one is written KIND:NAME:PATH, event:order-placed:name"
        )
    new.lifted[kind, name] = new.lifted.get((kind, name), frozenset()) | {way}


def _of_first_format(data: Shapes, code: Sequence[KnownShape]) -> Lock:
    """The lock of a file of the first format, which holds the shapes of events without marks: marks of parts that
    today's shape does not have are unknown."""
    today = {name: each for each in code if each.key.kind == "event" for name in (each.key.name, *each.before)}
    shapes: dict[ShapeKey, Shape] = {}
    for name, versions in data.items():
        now = today.get(name)
        for version, shape in versions.items():
            current = now is not None and now.key == ShapeKey("event", name, version)
            old = essential_schema(shape)
            shapes[ShapeKey("event", name, version)] = old if current else _doubted(old, now.shape if now else {})
    return Lock(shapes, {each.key.name: each.before for each in code if each.key.kind == "event" and each.before})


def _doubted(shape: Shape, today: Shape) -> Shape:
    """An old shape, with parts that differ from today's marked as unknown."""
    now = without_marks(today)
    same = {
        name
        for name, part in shape.get("properties", {}).items()
        if now.get("properties", {}).get(name) == part
        and ("$ref" not in json.dumps(part) or shape.get("$defs") == now.get("$defs"))
    }
    parts = shape.get("properties", {})
    doubted = {name: part if name in same else {**part, KEYWORD: UNKNOWN} for name, part in parts.items()}
    return {**shape, "properties": doubted}
