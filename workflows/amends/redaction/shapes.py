"""What values look like as JSON: which parts they have, and which of them are marked personal or secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from domain.amends.sensitive import KEYWORD
from workflows.amends.redaction.marking import UNKNOWN, MarkedSchemaGenerator
from workflows.amends.values.codec import type_adapter
from workflows.amends.values.memoised import memoised

Shape: TypeAlias = dict[str, Any]
"""A JSON Schema of values as they are stored, with their marks and without prose."""

Path: TypeAlias = tuple[str, ...]
"""The way to a part of a value: names of fields, numbers in tuples, and "*" for all other keys and items."""

EACH: Final = "*"

PROSE = ("title", "description", "default")
ALTERNATIVES = ("anyOf", "oneOf", "allOf")
WORDS = ("type", "properties", "enum", "const", "$ref", "items", "prefixItems", *ALTERNATIVES)
"""A schema without any of these is one of any value."""


_shapes: dict[Any, Shape] = {}


def shape_of(annotation: Any) -> Shape:
    """The shape of an annotation's values, made once: nobody changes it."""
    return memoised(_shapes, annotation, _new_shape)


def _new_shape(annotation: Any) -> Shape:
    try:
        made = type_adapter(annotation).json_schema(
            by_alias=False, mode="serialization", schema_generator=MarkedSchemaGenerator
        )
    except Exception:  # also what a type's own code raises when it is asked for its schema
        return {KEYWORD: UNKNOWN}
    return essential_schema(made)


def essential_schema(schema: Shape) -> Shape:
    """A schema without what is only said about it, and without defaults: what is stored has a value."""
    found: Shape = _without(schema, PROSE)
    return found


def without_marks(shape: Shape) -> Shape:
    """A shape without its marks: what two versions of an event are compared by."""
    found: Shape = _without(shape, (KEYWORD,))
    return found


def _without(schema: Any, words: Sequence[str], names: bool = False) -> Any:
    """A schema without these keywords; below `properties` and `$defs` the keys are names, not words."""
    if isinstance(schema, Mapping):
        return {
            key: _without(value, words, not names and key in ("properties", "$defs"))
            for key, value in schema.items()
            if names or key not in words
        }
    return [_without(item, words) for item in schema] if isinstance(schema, list) else schema


def marked_paths(shape: Shape) -> dict[Path, str]:
    """Where a shape is marked, and how; a part of itself is looked into once."""
    return dict(marks_of(Part(shape, shape), (), ()))


def marks_of(part: Part, path: Path, above: tuple[int, ...]) -> Iterator[tuple[Path, str]]:
    """Where a part is marked, and how, without what is `above` it."""
    for each in part.alternatives():
        if id(each.schema) in above:
            continue
        if each.sensitivity:
            yield path, each.sensitivity
        within = (*above, id(each.schema))
        for name in each.field_names:
            for inner in each.field(name):
                yield from marks_of(inner, (*path, name), within)
        for inner in (*each.other_keys(), *each.items()):
            yield from marks_of(inner, (*path, EACH), within)
        for number, inner in enumerate(each.tuple_items):
            yield from marks_of(inner, (*path, str(number)), within)


class Part:
    """A schema within a shape, in which the references of the schema are resolved.

    `lasting` says that its marks count whatever was lifted: those of the code at hand.
    """

    __slots__ = ("lasting", "root", "schema")

    def __init__(self, schema: Any, root: Shape, lasting: bool = False) -> None:
        self.schema, self.root, self.lasting = {} if schema is True else schema or {}, root, lasting

    def alternatives(self, seen: frozenset[int] = frozenset()) -> Iterator[Part]:
        """This and everything that it refers to, or is a choice of."""
        if id(self.schema) in seen:
            return
        yield self
        seen = seen | {id(self.schema)}
        if reference := self.schema.get("$ref"):
            target: Any = self.root
            for name in reference.removeprefix("#/").split("/"):
                target = target.get(name.replace("~1", "/").replace("~0", "~"), {KEYWORD: UNKNOWN})
            yield from self._part(target).alternatives(seen)
        for word in ALTERNATIVES:
            for each in self.schema.get(word, ()):
                yield from self._part(each).alternatives(seen)

    def _part(self, schema: Any) -> Part:
        return Part(schema, self.root, self.lasting)

    @property
    def sensitivity(self) -> str | None:
        """How the value is marked; one with marked keys is marked itself."""
        names = self.schema.get("propertyNames")
        of_names = [each.sensitivity for each in self._part(names).alternatives()] if names else []
        marks = [self.schema.get(KEYWORD), *of_names]
        return next((mark for mark in marks if mark), None)

    @property
    def is_any_value(self) -> bool:
        """Whether it is a schema of any value."""
        return not any(word in self.schema for word in WORDS) and KEYWORD not in self.schema

    @property
    def json_types(self) -> Any:
        """The types of JSON that its values have; None if it does not say."""
        found = self.schema.get("type")
        return [found] if isinstance(found, str) else found

    @property
    def field_names(self) -> Sequence[str]:
        """The fields that have names."""
        return tuple(self.schema.get("properties", ()))

    def field(self, name: str) -> Iterator[Part]:
        """What is known of the value of a field."""
        if self.is_any_value:
            yield self
        elif name in self.schema.get("properties", ()):
            yield self._part(self.schema["properties"][name])
        else:
            yield from self.other_keys()

    def other_keys(self) -> Iterator[Part]:
        """What is known of the values of keys that are no fields."""
        found = [self.schema.get("additionalProperties", False), *self.schema.get("patternProperties", {}).values()]
        yield from (self._part(each) for each in found if each is not False)

    @property
    def container_kind(self) -> set[str]:
        """Whether it is an `object`, an `array`, or a `scalar`; nothing for what only refers to others."""
        if any(word in self.schema for word in (*ALTERNATIVES, "$ref")) and "type" not in self.schema:
            return set()
        if self.is_any_value:
            return {"object", "array", "scalar"}
        within = {"object": [*self.field_names, *self.other_keys()], "array": [*self.tuple_items, *self.items()]}
        kinds = self.json_types or [kind for kind, parts in within.items() if parts] or ["scalar"]
        return {kind if kind in within else "scalar" for kind in kinds if kind != "null"}

    def as_field(self, name: str) -> Iterator[Part]:
        """What a list says of a field of an object that stands in its place: the same as of that of its items."""
        for item in (*self.items(), *self.tuple_items):
            for each in item.alternatives():
                found = list(each.field(name)) if "object" in each.container_kind else []
                yield from found or ([each] if each.container_kind or each.sensitivity else [])

    def as_item(self) -> Iterator[Part]:
        """What an object says of the items of a list that stands in its place: it is one, or its values are."""
        yield from self.other_keys()
        if self.field_names or self.sensitivity:
            yield self

    def items(self) -> Iterator[Part]:
        """What is known of the items of a list behind those that have places."""
        if (found := self.schema.get("items", False)) is not False:
            yield self._part(found)

    @property
    def tuple_items(self) -> Sequence[Part]:
        """What is known of the items of a tuple, by their numbers."""
        return [self._part(each) for each in self.schema.get("prefixItems", ())]

    def item(self, number: int) -> Iterator[Part]:
        """What is known of an item."""
        places = self.schema.get("prefixItems", ())
        if self.is_any_value:
            yield self
        elif number < len(places):
            yield self._part(places[number])
        else:
            yield from self.items()
