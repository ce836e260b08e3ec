"""Which types survive JSON: decided from pydantic's description of them, before any value of theirs is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Final

from workflows.amends.values.unions import (
    Schema,
    all_subschemas,
    ambiguous_pair,
    definitions_in,
    direct_subschemas,
    is_json_value,
    unwrapped_schema,
)

_LOSSY: Final = {
    "any": "has no type that says what it holds; use a dataclass, or JsonValue of pydantic",
    "arguments": "is a call",
    "arguments-v3": "is a call",
    "bytes": "holds bytes; use str",
    "call": "is a call",
    "callable": "is a function",
    "deque": "may have a length of its own, which is not written; use list or tuple",
    "ellipsis": "is an ellipsis",
    "frozenset": "has no order; use tuple[…, ...]",
    "generator": "can be read only once; use tuple[…, ...]",
    "is-instance": "is a class without declared fields; use a dataclass, list or tuple, or str",
    "is-subclass": "is a class",
    "json": "is written as what it holds; annotate it as that",
    "missing-sentinel": "may be missing; use … | None",
    "ordered-dict": "keeps an order that JSON objects have not; use tuple[tuple[…, …], ...]",
    "set": "has no order; use tuple[…, ...]",
}
"""What pydantic would accept, but what does not come back from JSON as it went in, or not in the same order."""

_KEYS: Final = {"str", "int", "bool", "float", "decimal", "date", "time", "datetime", "timedelta", "uuid"}
"""What the key of an object may be: it is written as a text, and read of it."""


def lossy_reason(schema: Schema) -> str | None:
    """Why the values that a schema of pydantic's describes do not survive JSON; None if they do."""
    return next(_problems(schema, definitions_in(schema), ()), None)


def keeps_order(schema: Schema) -> bool:
    """Whether the keys of objects are fields everywhere, so that their order says nothing."""
    return not any(
        part["type"] in ("dict", "counter", "frozendict", "any")
        or "allow" in (part.get("extra_behavior"), (part.get("config") or {}).get("extra_fields_behavior"))
        or str(part.get("serialization", {}).get("type")).startswith("function")
        for part in all_subschemas(schema)
    )


def is_strict(schema: Schema) -> bool:
    """Whether something in it takes only what is of its very type already."""
    return any(part.get("strict") or (part.get("config") or {}).get("strict") for part in all_subschemas(schema))


def _problems(schema: Any, known: Mapping[str, Schema], path: tuple[str, ...]) -> Iterator[str]:
    """What is wrong in a schema and in all of its parts, with the names of the fields that lead there."""
    if is_json_value(schema):
        return
    if problem := _problem(schema, known):
        yield f"{'.'.join(path)} {problem}" if path else f"it {problem}"
    if schema.get("type") in ("model-fields", "dataclass-args", "typed-dict", "named-tuple"):
        for name, field in _fields(schema):
            yield from _problems(field, known, (*path, name))
    else:
        for part in direct_subschemas(schema):
            yield from _problems(part, known, path)


def _fields(schema: Schema) -> Iterator[tuple[str, Any]]:
    fields = schema["fields"]
    yield from fields.items() if isinstance(fields, Mapping) else ((field["name"], field) for field in fields)


def _problem(schema: Schema, known: Mapping[str, Schema]) -> str | None:
    """What is wrong with a schema itself."""
    kind = schema.get("type")
    if isinstance(kind, str) and kind in _LOSSY:
        return _LOSSY[kind]
    if kind == "lax-or-strict" and any(map(_is_masked, all_subschemas(schema))):
        return "is written as asterisks; use Annotated[str, SECRET] of domain.amends.sensitive"
    if problem := _record_problem(schema):
        return problem
    match kind:
        case "dict" | "counter" | "frozendict":
            return _key_problem(unwrapped_schema(schema.get("keys_schema", {"type": "any"}), known))
        case "literal":
            return _literal_problem(schema["expected"])
        case "enum" if not all(isinstance(_value(member), str | int | float) for member in schema["members"]):
            return "is an Enum whose values JSON has no word for; use texts"
        case "lax-or-strict" | "json-or-python" | "chain":
            return next((_LOSSY[part["type"]] for part in all_subschemas(schema) if part["type"] in _LOSSY), None)
        case "union" if pair := ambiguous_pair(schema, known):
            return pair.problem
    return None


def _record_problem(schema: Schema) -> str | None:
    """What is wrong with a class of fields, or with one of them."""
    if schema.get("serialization_exclude"):
        return "is left out when it is written; keep it, or take it out of the class"
    if computed := _computed_in_vain(schema):
        return f"computes {computed}, which it does not take back: make it a method, or let it ignore further fields"
    if schema.get("init_only"):
        return "is given to the class, and not kept by it; make it a field"
    return None


def _computed_in_vain(schema: Schema) -> str | None:
    """A computed field of a class that forbids further fields, or keeps them as others."""
    extra = (schema.get("config") or {}).get("extra_fields_behavior", "ignore")
    inside = schema.get("schema")
    while isinstance(inside, Mapping) and "computed_fields" not in inside:
        inside = inside.get("schema") if inside.get("type") not in ("model", "dataclass") else None
    computed = inside.get("computed_fields") if isinstance(inside, Mapping) else None
    return str(computed[0]["property_name"]) if computed and extra != "ignore" else None


def _literal_problem(expected: Sequence[Any]) -> str | None:
    if not all(type(value) in (str, int, bool, type(None)) for value in expected):
        return "is a Literal of what JSON has no word for; use texts"
    if len(set(expected)) < len(expected):
        return "is a Literal of a number and a truth value that are equal; use one of them"
    return None


def _is_masked(schema: Schema) -> bool:
    serialization = schema.get("serialization")
    function = serialization.get("function") if isinstance(serialization, Mapping) else None
    return getattr(function, "__name__", "").startswith("_serialize_secret")


def _key_problem(keys: Schema) -> str | None:
    kind = keys["type"]
    if kind == "literal" and all(isinstance(value, str) for value in keys["expected"]):
        return None
    if kind == "enum" and (keys.get("sub_type") or all(isinstance(_value(each), str) for each in keys["members"])):
        return None
    return None if kind in _KEYS else "has keys that do not come back from a text; use str"


def _value(member: Any) -> Any:
    return member.value if isinstance(member, Enum) else member
