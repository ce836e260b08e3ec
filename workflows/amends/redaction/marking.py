"""JSON Schemas that keep the marks of their types, also where a type writes its schema itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from domain.amends.sensitive import KEYWORD, Sensitive
from workflows.amends.values.unions import Schema, definitions_in, direct_subschemas

UNKNOWN: Final = "unknown"
"""The mark of a part of which nobody knows whether it is personal or secret."""


class MarkedSchemaGenerator(GenerateJsonSchema):
    """Makes the JSON Schema of a type; what is marked in the type and cannot be found in there is marked as a whole."""

    def generate(self, schema: Any, mode: Any = "validation") -> dict[str, Any]:
        """The whole of it."""
        self._known, self._kinds = definitions_in(schema), dict[int, str | None]()
        return super().generate(schema, mode)

    def generate_inner(self, schema: Any) -> dict[str, Any]:
        """The JSON Schema of one part."""
        made = super().generate_inner(schema)
        kind = self._kind(schema)
        return made | {KEYWORD: kind} if kind and not self._is_placed(schema, made) else made

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
        """What no schema can say is known to nobody."""
        return {KEYWORD: UNKNOWN}

    def _is_placed(self, schema: Schema, made: dict[str, Any]) -> bool:
        """Whether marks within a part are told by its JSON Schema, too, of an object those of each field."""
        if KEYWORD in made:
            return True
        written = schema.get("serialization") or {}
        if str(written.get("type")).startswith("function") and (given := written.get("return_schema")):
            return self._kind(given) is not None
        whole = self.get_schema_from_definitions(made["$ref"]) if "$ref" in made else made
        if whole is None:
            return True  # it is being made, around this one
        if not _tells(whole):
            return False
        told = whole.get("properties", {})
        marked = [name for name, field in _fields(schema) if self._kind(field)]
        return not told or all(_tells(told.get(name, {})) for name in marked)

    def _kind(self, schema: Schema) -> str | None:
        """How something within a part of the type is marked, or what it refers to."""
        if id(schema) not in self._kinds:
            seen, left = set[int](), [schema]
            self._kinds[id(schema)] = None
            while left and self._kinds[id(schema)] is None:
                part = left.pop()
                if id(part) not in seen:
                    seen.add(id(part))
                    self._kinds[id(schema)] = _own(part)
                    left += direct_subschemas(part)
                    left += [self._known[ref]] if (ref := part.get("schema_ref")) in self._known else []
        return self._kinds[id(schema)]


def _own(schema: Schema) -> str | None:
    functions = [each for found in (schema.get("metadata") or {}).values() if isinstance(found, list) for each in found]
    owners = [getattr(function, "__self__", None) for function in functions]
    return next((owner.kind for owner in owners if isinstance(owner, Sensitive)), None)


def _fields(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """The fields of a class, below what its validators wrap around them."""
    while isinstance(inner := schema.get("schema"), Mapping):
        schema = inner
    fields = schema.get("fields") or ()
    yield from fields.items() if isinstance(fields, Mapping) else ((field["name"], field) for field in fields)


def _tells(made: Any) -> bool:
    said = json.dumps(made, default=str)
    return f'"{KEYWORD}"' in said or '"$ref"' in said
