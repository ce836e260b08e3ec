"""Examples of JSON Schemas: the same for the same schema, with other values for fields that are refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

TEXTS = (
    "sample",
    "EUR",
    "1",
    "1.50",
    "a",
    "A1",
    "DE",
    "2026-01-31",
    "12:00:00",
    "ann@example.org",
    "sample-1",
    "0" * 8,
    *map(str, range(10, 14)),
)
NUMBERS = (1, 0, 2, 10, 100, 1000, -1, 0.5, 2026)
DAYS = ("2026-01-31", "2100-12-31", "1970-01-01", "1900-01-01", "9999-12-31")
FORMATS = {
    "date-time": tuple(f"{day}T12:00:00{zone}" for zone in ("Z", "") for day in DAYS),
    "date": DAYS,
    "time": ("12:00:00", "23:59:59", "00:00:00"),
    "duration": ("PT1H", "P1D", "PT1S", "P30D", "P3650D", "PT0S", "-PT1H", "-P3650D"),
    "uuid": tuple(f"00000000-0000-4000-8000-00000000000{digit}" for digit in range(1, 5)),
    "uri": ("https://example.org/",),
    "email": ("ann@example.org",),
    "ipv4": ("192.0.2.1",),
    "ipv6": ("2001:db8::1",),
}
DEEPEST = 6
"""The depth to which a recursive shape is followed."""


class ExampleValue:
    """One value of a schema: it has every field, and of several types the first one that is not null."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema, self._definitions = schema, schema.get("$defs", {})
        self._tried: dict[str, int] = {}
        self._paths: dict[str, int] = {}

    def value(self) -> Any:
        """The example as it is now."""
        self._paths = {}
        return self._of(self._schema, "", 0)

    def change_at(self, path: str) -> bool:
        """Take another value at a path such as `lines.0.sku`, or within it; False once none is left."""
        within = [
            each for each in self._paths if each == path or each.startswith(f"{path}.") or path.startswith(f"{each}.")
        ]
        keys = [each for each in self._paths if each.endswith("|key") and path.startswith(f"{each[:-4]}.")]
        if keys and path.endswith(".[key]"):
            within = [max(keys, key=len)]
        for each in within or list(self._paths):
            if self._tried.get(each, 0) + 1 < self._paths[each]:
                self._tried[each] = self._tried.get(each, 0) + 1
                return True
            self._tried.pop(each, None)
        return False

    def _meant(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """A schema, or the one that it refers to."""
        if "$ref" not in schema:
            return schema
        own = {key: value for key, value in schema.items() if key != "$ref"}
        meant: dict[str, Any] = self._definitions.get(schema["$ref"].rpartition("/")[2], {}) | own
        return meant

    def _of(self, schema: Mapping[str, Any], path: str, depth: int) -> Any:
        schema = self._meant(schema)
        for several in ("anyOf", "oneOf", "allOf"):
            if several in schema:
                return self._of_one(schema[several], path, depth)
        if "properties" in schema or schema.get("type") == "object":
            return self._object(schema, path, depth)
        if schema.get("type") == "array" or "prefixItems" in schema:
            return self._array(schema, path, depth)
        return self._chosen(list(_values(schema)), path)

    def _of_one(self, options: list[Any], path: str, depth: int) -> Any:
        if depth > DEEPEST and any(option.get("type") == "null" for option in options):
            return None
        wanted = [option for option in options if option.get("type") != "null"]
        return self._of(self._chosen(wanted, f"{path}|") if wanted else options[0], path, depth + 1)

    def _object(self, schema: Mapping[str, Any], path: str, depth: int) -> Any:
        known = schema.get("properties", {})
        if depth > DEEPEST:
            known = {name: inner for name, inner in known.items() if name in schema.get("required", ())}
        found = {name: self._of(inner, _below(path, name), depth + 1) for name, inner in known.items()}
        more = schema.get("additionalProperties")
        if isinstance(more, dict) and not known and depth <= DEEPEST:
            for key in self._keys(schema, f"{path}|key"):
                found[key] = self._of(more, _below(path, key), depth + 1)
        return found

    def _keys(self, schema: Mapping[str, Any], path: str) -> list[str]:
        """The required number of keys, one at least, beginning with the one whose turn it is."""
        names = {"type": "string", **self._meant(schema.get("propertyNames", {}))}
        values = list(dict.fromkeys(map(str, _values(names))))
        first = self._chosen(list(range(len(values))), path) or 0
        return [*values[first:], *values[:first]][: max(1, schema.get("minProperties", 1))]

    def _array(self, schema: Mapping[str, Any], path: str, depth: int) -> Any:
        first = list(schema.get("prefixItems", ()))
        items = schema.get("items", {})
        least = max(schema.get("minItems", 0), len(first), 1 if isinstance(items, dict) and not first else 0)
        if depth > DEEPEST:
            least = max(schema.get("minItems", 0), len(first))
        whole = first + [items] * (min(least, schema.get("maxItems", least)) - len(first))
        return [self._of(inner, _below(path, str(number)), depth + 1) for number, inner in enumerate(whole)]

    def _chosen(self, values: list[Any], path: str) -> Any:
        self._paths[path] = len(values)
        return values[self._tried.get(path, 0) % len(values)] if values else None


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _values(schema: Mapping[str, Any]) -> Iterator[Any]:
    """Values of a schema without parts, the most usual one first."""
    if "const" in schema:
        yield schema["const"]
    elif "enum" in schema:
        yield from schema["enum"]
    elif schema.get("type") == "string":
        yield from _texts(schema)
    elif schema.get("type") in ("integer", "number"):
        yield from islice(_numbers(schema), 20)
    elif schema.get("type") == "boolean":
        yield from (True, False)
    else:
        yield None if schema.get("type") == "null" else {"sample": True}


def _texts(schema: Mapping[str, Any]) -> Iterator[str]:
    """Texts for a field. A pattern that Python does not read, as pydantic's are Rust's, is left to the class."""
    least, most = schema.get("minLength", 0), schema.get("maxLength", 10**6)
    fits = _pattern(schema.get("pattern", ""))
    examples = (text for text in _examples(schema) if isinstance(text, str))
    for text in (*FORMATS.get(schema.get("format", ""), ()), *examples, *TEXTS):
        fitting = (text if len(text) >= least else text.ljust(least, "x"))[:most]
        if fits is None or fits.search(fitting):
            yield fitting


def _pattern(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:
        return None


def _examples(schema: Mapping[str, Any]) -> list[Any]:
    """The examples of the declaration, which may be anything."""
    given = schema.get("examples")
    return given if isinstance(given, list) else []


def _numbers(schema: Mapping[str, Any]) -> Iterator[float]:
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    most = schema.get("maximum", schema.get("exclusiveMaximum"))
    unit = schema.get("multipleOf", 1)
    near = [(bound // unit + step) * unit for bound in (least, most) if bound is not None for step in (0, 1, -1)]
    examples = [number for number in _examples(schema) if type(number) in (int, float)]
    for number in (*NUMBERS, *near, unit, *examples):
        if schema["type"] == "integer" and number != int(number):
            continue
        if _within(number, schema):
            yield number


def _within(number: float, schema: Mapping[str, Any]) -> bool:
    low, over = schema.get("minimum", number), schema.get("exclusiveMinimum", number - 1)
    high, under = schema.get("maximum", number), schema.get("exclusiveMaximum", number + 1)
    fits = low <= number <= high and over < number < under
    return bool(fits and ("multipleOf" not in schema or number % schema["multipleOf"] == 0))
