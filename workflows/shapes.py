"""What values look like as JSON: which parts they have, and which of them are marked personal or secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from pydantic.json_schema import GenerateJsonSchema

from domain.sensitive import KEYWORD, MASK
from workflows.codec import adapter

Shape: TypeAlias = dict[str, Any]
"""A JSON Schema of values as they are stored, with their marks and without prose."""

Path: TypeAlias = tuple[str, ...]
"""The way to a part of a value: names of fields, numbers in tuples, and "*" for all other keys and items."""

EACH: Final = "*"
UNKNOWN: Final = "unknown"
"""The mark of a part that was locked before marks were: nobody knows whether it is personal or secret."""

PROSE = ("title", "description", "default")
ALTERNATIVES = ("anyOf", "oneOf", "allOf")
WORDS = ("type", "properties", "enum", "const", "$ref", "items", "prefixItems", *ALTERNATIVES)
"""A schema without any of these is one of any value."""


class _Schemas(GenerateJsonSchema):
    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
        """What no schema can say is known to nobody."""
        return {KEYWORD: UNKNOWN}


def shape(annotation: Any) -> Shape:
    """The shape of an annotation's values."""
    try:
        made = adapter(annotation).json_schema(by_alias=False, mode="serialization", schema_generator=_Schemas)
    except Exception:  # also what a type's own code raises when it is asked for its schema
        return {KEYWORD: UNKNOWN}
    return plainly(made)


def plainly(schema: Shape) -> Shape:
    """A schema without what is only said about it, and without defaults: what is stored has a value."""
    found: Shape = _without(schema, PROSE)
    return found


def unmarked(shape: Shape) -> Shape:
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
    return dict(_marked(Part(shape, shape), (), ()))


def _marked(part: Part, path: Path, above: tuple[int, ...]) -> Iterator[tuple[Path, str]]:
    for each in part.alternatives():
        if id(each.schema) in above:
            continue
        if each.mark:
            yield path, each.mark
        within = (*above, id(each.schema))
        for name in each.names:
            for inner in each.field(name):
                yield from _marked(inner, (*path, name), within)
        for inner in (*each.other(), *each.items()):
            yield from _marked(inner, (*path, EACH), within)
        for number, inner in enumerate(each.places):
            yield from _marked(inner, (*path, str(number)), within)


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
    def mark(self) -> str | None:
        """How the value is marked; one with marked keys is marked itself."""
        keys = self.schema.get("propertyNames")
        marks = [self.schema.get(KEYWORD), *([each.mark for each in self._part(keys).alternatives()] if keys else ())]
        return next((mark for mark in marks if mark), None)

    @property
    def free(self) -> bool:
        """Whether it is a schema of any value."""
        return not any(word in self.schema for word in WORDS) and KEYWORD not in self.schema

    @property
    def kinds(self) -> Any:
        """The types of JSON that its values have; None if it does not say."""
        found = self.schema.get("type")
        return [found] if isinstance(found, str) else found

    @property
    def names(self) -> Sequence[str]:
        """The fields that have names."""
        return tuple(self.schema.get("properties", ()))

    def field(self, name: str) -> Iterator[Part]:
        """What is known of the value of a field."""
        if self.free:
            yield self
        elif name in self.schema.get("properties", ()):
            yield self._part(self.schema["properties"][name])
        else:
            yield from self.other()

    def other(self) -> Iterator[Part]:
        """What is known of the values of keys that are no fields."""
        found = [self.schema.get("additionalProperties", False), *self.schema.get("patternProperties", {}).values()]
        yield from (self._part(each) for each in found if each is not False)

    def items(self) -> Iterator[Part]:
        """What is known of the items of a list behind those that have places."""
        if (found := self.schema.get("items", False)) is not False:
            yield self._part(found)

    @property
    def places(self) -> Sequence[Part]:
        """What is known of the items of a tuple, by their numbers."""
        return [self._part(each) for each in self.schema.get("prefixItems", ())]

    def item(self, number: int) -> Iterator[Part]:
        """What is known of an item."""
        places = self.schema.get("prefixItems", ())
        if self.free:
            yield self
        elif number < len(places):
            yield self._part(places[number])
        else:
            yield from self.items()


class Look:
    """What was masked while something was shown: `marked` values, and those that are `unknown` here."""

    def __init__(self) -> None:
        self.marked = self.unknown = False


class Form:
    """What is known of a value by all that know it, and how it may be shown; those of its parts are made when needed.

    `known` are shapes that it may have, `marking` all those whose marks cover it, `lifted` the ways to marks that count
    no more.
    """

    def __init__(
        self, known: Sequence[Part], marking: Sequence[Part], lifted: frozenset[Path] = frozenset(), path: Path = ()
    ) -> None:
        self._known = [each for part in known for each in part.alternatives()]
        self._marking = [each for part in marking for each in part.alternatives()]
        self._lifted, self._path = lifted, path
        self._named = {name for part in (*self._known, *self._marking) for name in part.names}
        self._places = max((len(part.places) for part in (*self._known, *self._marking)), default=0)
        self._parts: dict[str, Form] = {}
        marks = [part.mark for part in self._marking if part.mark != UNKNOWN and (part.lasting or path not in lifted)]
        self.marked = any(marks)
        """Whether it is personal or secret, of whichever shape it is."""
        clear = [part for part in known if all(each.mark != UNKNOWN for each in part.alternatives())]
        self.unknown = not clear and not (known and path in lifted)
        """Whether nobody knows of it."""
        said = [part for part in self._known if not any(word in part.schema for word in (*ALTERNATIVES, "$ref"))]
        self._free = any(part.free for part in said)
        self._kinds = {kind for part in said for kind in part.kinds or ("string",)}
        self._open = (
            self._free and not self.unknown and all(part.free or "$ref" in part.schema for part in self._marking)
        )

    def masked(self, data: Any, look: Look) -> Any:
        """The data as it may be shown: nothing that is marked, and nothing that nobody knows."""
        if (data is None and not self.unknown) or (self._open and not self.marked):
            return data
        if self.marked:
            look.marked = True
        elif self.unknown or not self._fits(data):
            look.unknown = True
            if self.unknown and not self._path and isinstance(data, dict):
                return dict.fromkeys(data, MASK)
        elif isinstance(data, dict):
            return {name: self.field(name).masked(value, look) for name, value in data.items()}
        elif isinstance(data, list):
            return [self.item(number).masked(value, look) for number, value in enumerate(data)]
        else:
            return data
        return MASK

    def _fits(self, data: Any) -> bool:
        """Whether the data may be of one of the shapes, as far as that matters: nothing is hidden in what fits."""
        if self._free:
            return True
        if isinstance(data, dict):
            return "object" in self._kinds
        return "array" in self._kinds if isinstance(data, list) else bool(self._kinds - {"object", "array", "null"})

    def field(self, name: str) -> Form:
        """What is known of the value of a field."""
        step = name if name in self._named else EACH
        if step not in self._parts:
            self._parts[step] = self._part(
                [each for part in self._known for each in part.field(name)],
                [each for part in self._marking for each in part.field(name)],
                step,
            )
        return self._parts[step]

    def item(self, number: int) -> Form:
        """What is known of an item."""
        step = str(number) if number < self._places else EACH
        if f"[{step}" not in self._parts:
            self._parts[f"[{step}"] = self._part(
                [each for part in self._known for each in part.item(number)],
                [each for part in self._marking for each in part.item(number)],
                step,
            )
        return self._parts[f"[{step}"]

    def step(self, step: str) -> Form:
        """What is known of the part behind one step of a JSON Pointer."""
        in_list = step.isdecimal() and step not in self._named and "array" in self._kinds
        return self.item(int(step)) if in_list else self.field(step)

    def _part(self, known: Sequence[Part], marking: Sequence[Part], step: str) -> Form:
        return Form(known, marking, self._lifted, (*self._path, step))

    def hidden(self, data: Any) -> Iterator[Any]:
        """The marked values themselves."""
        if self.marked:
            yield data
        elif isinstance(data, dict):
            for name, value in data.items():
                yield from self.field(name).hidden(value)
        elif isinstance(data, list):
            for number, value in enumerate(data):
                yield from self.item(number).hidden(value)
