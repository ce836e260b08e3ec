"""Unions: whether what is written of one of their types can be read as another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, TypeAlias

from pydantic_core import SchemaValidator, ValidationError

Schema: TypeAlias = Mapping[str, Any]
"""A part of a core schema of pydantic's."""

_JSON: Final = {
    "bool": "boolean",
    "int": "number",
    "float": "number",
    **dict.fromkeys(("str", "date", "time", "datetime", "timedelta", "uuid", "decimal", "fraction", "complex"), "text"),
    **dict.fromkeys(("url", "multi-host-url"), "text"),
    **dict.fromkeys(("list", "tuple", "deque", "named-tuple"), "array"),
    **dict.fromkeys(("dict", "frozendict", "counter", "typed-dict", "model", "dataclass"), "object"),
}
"""What the values of a type are in JSON."""

_NUMBERS: Final = ("decimal", "fraction", "complex")
"""Types whose texts are read as numbers, too."""

_INSTANTS: Final = ("date", "time", "datetime", "timedelta", "decimal")
"""Types none of whose texts is read as an id, nor the other way round."""


@dataclass(frozen=True)
class AmbiguousPair:
    """Two types of a union that can be mistaken for one another."""

    one: Schema
    other: Schema

    @property
    def problem(self) -> str:
        """What is wrong, and what to write."""
        both = f"is {_called(self.one)} or {_called(self.other)}, and one can be read as the other"
        if _json(self.one) == _json(self.other) == "object":
            return f"{both}; give each a field such as `kind: Literal['yes']`, of another text"
        return f"{both}; use one of them, or a dataclass with a field for each"


_NO_PARTS: Final = (
    *("metadata", "computed_fields", "serialization", "config", "default"),
    *("cls", "expected", "members", "discriminator"),
)
"""Keys of a schema below which nothing is said of what is read and written."""


def direct_subschemas(schema: Schema) -> Iterator[Schema]:
    """The schemas right below a schema."""
    for name, part in schema.items():
        if name not in _NO_PARTS:
            yield from _schemas(part)


def _schemas(part: Any) -> Iterator[Schema]:
    if isinstance(part, Mapping) and isinstance(part.get("type"), str):
        yield part
    elif isinstance(part, Mapping | list | tuple):
        for each in part.values() if isinstance(part, Mapping) else part:
            yield from _schemas(each)


def all_subschemas(schema: Schema) -> Iterator[Schema]:
    """A schema and all schemas below it."""
    yield schema
    for part in direct_subschemas(schema):
        yield from all_subschemas(part)


def is_json_value(schema: Schema) -> bool:
    """Whether a schema is that of pydantic's JsonValue: everything that JSON can say."""
    return str(schema.get("ref", "")).startswith("pydantic.types.JsonValue:")


def definitions_in(schema: Schema) -> dict[str, Schema]:
    """The parts of a schema that others refer to, by the name by which they do."""
    return {part["ref"]: part for part in all_subschemas(schema) if "ref" in part}


def unwrapped_schema(schema: Schema, known: Mapping[str, Schema]) -> Schema:
    """A schema without what only wraps it and reads and writes the same."""
    while True:
        match schema["type"]:
            case "definition-ref":
                schema = known[schema["schema_ref"]]
            case "definitions" | "default" | "custom-error" | "function-after" if "serialization" not in schema:
                schema = schema["schema"]
            case _:
                return schema


def ambiguous_pair(union: Schema, known: Mapping[str, Schema]) -> AmbiguousPair | None:
    """Two types of a union, of which a value of the one might come back as the other; None if none are known."""
    members = [list(_leaves(choice, known)) for choice in _choices(union)]
    for some, others in combinations(members, 2):
        for one in some:
            for other in others:
                if not _clear(one, other, known):
                    return AmbiguousPair(one, other)
    return None


def _choices(union: Schema) -> Iterator[Schema]:
    choices = union["choices"]
    for choice in choices.values() if isinstance(choices, Mapping) else choices:
        yield choice[0] if isinstance(choice, tuple) else choice


def _leaves(schema: Schema, known: Mapping[str, Schema]) -> Iterator[Schema]:
    schema = unwrapped_schema(schema, known)
    if schema["type"] == "nullable":
        yield {"type": "none"}
        yield from _leaves(schema["schema"], known)
    elif schema["type"] in ("union", "tagged-union"):
        for choice in _choices(schema):
            yield from _leaves(choice, known)
    else:
        yield schema


def _clear(one: Schema, other: Schema, known: Mapping[str, Schema]) -> bool:
    """Whether JSON of either type comes back as the value that it was."""
    if one is other or "none" in (one["type"], other["type"]):
        return True
    for first, second in ((one, other), (other, one)):
        if first["type"] in ("literal", "enum"):
            return all(_is_clear(value, first, second) for value in _values(first))
    kind, another = _json(one), _json(other)
    if kind is None or another is None or "named-tuple" in (one["type"], other["type"]):
        return False
    if kind == another:
        return _CLEAR[kind](one, other, known)
    return not ({kind, another} <= {"text", "number", "boolean"} and {one["type"], other["type"]} & {*_NUMBERS})


def _values(schema: Schema) -> list[Any]:
    values: list[Any] = schema["expected"] if schema["type"] == "literal" else schema["members"]
    return values


def _is_clear(value: Any, of: Schema, other: Schema) -> bool:
    """Whether one of a few values is read as itself, though there is another type."""
    plain = getattr(value, "value", value) if of["type"] == "enum" else value
    if other["type"] in ("literal", "enum"):
        same = [each for each in _values(other) if getattr(each, "value", each) == plain]
        return all(each is value or (type(each), each) == (type(value), value) for each in same)
    kind = _json(other)
    if kind in ("array", "object"):
        return True
    if kind is None:
        return False
    if of["type"] == "literal" and {type(plain).__name__, other["type"]} == {"int", "bool"}:
        return False
    if of["type"] == "literal" and isinstance(plain, str) != (kind == "text"):
        return True
    try:
        described: Any = other
        read = SchemaValidator(described).validate_python(plain)
    except ValidationError:
        return True
    return type(read) is type(value) and bool(read == value)


def _clear_scalars(one: Schema, other: Schema, known: Mapping[str, Schema]) -> bool:
    kinds = {one["type"], other["type"]}
    return len(kinds) == 1 or ("uuid" in kinds and kinds <= {"uuid", *_INSTANTS})


def _clear_arrays(one: Schema, other: Schema, known: Mapping[str, Schema]) -> bool:
    if one["type"] != other["type"]:
        return False
    if one["type"] == "tuple":
        lengths = [len(each["items_schema"]) for each in (one, other) if each.get("variadic_item_index") is None]
        return len(lengths) == 2 and lengths[0] != lengths[1]
    return one["type"] == "list" and _clear_items(one.get("items_schema"), other.get("items_schema"), known)


def _clear_items(one: Schema | None, other: Schema | None, known: Mapping[str, Schema]) -> bool:
    if one is None or other is None:
        return False
    return all(_clear(some, more, known) for some in _leaves(one, known) for more in _leaves(other, known))


def _clear_objects(one: Schema, other: Schema, known: Mapping[str, Schema]) -> bool:
    if one["type"] == other["type"] == "dict":
        keys = {unwrapped_schema(each.get("keys_schema", {"type": "any"}), known)["type"] for each in (one, other)}
        return keys == {"str"} and _clear_items(one.get("values_schema"), other.get("values_schema"), known)
    if one.get("ref") is not None and one.get("ref") == other.get("ref"):
        return True
    mine, theirs = _fields_of(one), _fields_of(other)
    for name in mine.keys() & theirs.keys():
        some, more = (unwrapped_schema(each[name]["schema"], known) for each in (mine, theirs))
        if {some["type"], more["type"]} <= {"literal", "enum"} and not _shared(some, more):
            return True
    return all(
        bool(_required(here) - there.keys()) and _forbids(cls)
        for here, there, cls in ((mine, theirs, other), (theirs, mine, one))
    )


_CLEAR: Final = {
    "boolean": _clear_scalars,
    "number": _clear_scalars,
    "text": _clear_scalars,
    "array": _clear_arrays,
    "object": _clear_objects,
}


def _shared(some: Schema, more: Schema) -> bool:
    values = [[getattr(value, "value", value) for value in _values(each)] for each in (some, more)]
    return any(value in values[1] for value in values[0])


def _fields_of(schema: Schema) -> Mapping[str, Any]:
    while "fields" not in schema or schema["type"] in ("dataclass", "model"):
        if not isinstance(inner := schema.get("schema"), Mapping):
            return {}
        schema = inner
    fields = schema["fields"]
    return fields if isinstance(fields, Mapping) else {field["name"]: field for field in fields}


def _required(fields: Mapping[str, Any]) -> set[str]:
    return {name for name, field in fields.items() if field["schema"]["type"] != "default"}


def _forbids(schema: Schema) -> bool:
    return (schema.get("config") or {}).get("extra_fields_behavior") == "forbid"


def _json(schema: Schema) -> str | None:
    """What a type is in JSON; None for one that is written or read by code of its own."""
    if "serialization" in schema or schema.get("root_model"):
        return None
    return _JSON.get(schema["type"])


def _called(schema: Schema) -> str:
    """A type as its code calls it, as far as one can tell."""
    if is_json_value(schema):
        return "JsonValue"
    return str(getattr(schema.get("cls"), "__name__", schema["type"]))
