"""Dates and times from outside, as RFC 3339 writes them: a number in quotes is none, and no instant of 1970.

Decimals are read exactly on the same way.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import PydanticCustomError, SchemaValidator, core_schema, to_json

from workflows.amends.values.amounts import exact_decimal

_WRITTEN: Final = {
    "datetime": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt _].+"),
    "date": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
}
_VALUES: Final = ("metadata", "default", "expected", "members")
"""What a schema holds that is no schema."""
_EXAMPLES: Final = {"datetime": "2026-01-31T12:00:00Z", "date": "2026-01-31"}


def parse_time(kind: str, value: object) -> object:
    """What a text says; other values stay. Raises PydanticCustomError for a text that is no date or time."""
    if not isinstance(value, str):
        return value
    if not _WRITTEN[kind].fullmatch(value):
        raise PydanticCustomError("not_rfc_3339", "must be written as {example} is", {"example": _EXAMPLES[kind]})
    try:
        return _PARSERS[kind].validate_json(to_json(value), strict=True)
    except ValidationError as error:
        raise PydanticCustomError("not_rfc_3339", "{problem}", {"problem": error.errors()[0]["msg"]}) from error


def parse_instant(value: object) -> object:
    """The same of a parameter that is an instant."""
    return parse_time("datetime", value)


def with_strict_times(schema: Any) -> Any:
    """A schema of pydantic whose dates and times are read so, and its Decimals exactly.

    By itself it takes digits for seconds since 1970, and rounds numbers to floats.
    """
    if type(schema) in (list, tuple):
        return type(schema)(map(with_strict_times, schema))
    if not isinstance(schema, dict):
        return schema
    made: Any = {name: part if name in _VALUES else with_strict_times(part) for name, part in schema.items()}
    kind = made.get("type")
    if kind == "union":
        made["choices"] = list(map(_named, made["choices"]))
    if isinstance(kind, str) and kind in _READERS:
        return core_schema.no_info_before_validator_function(_READERS[kind], made)
    return made


def _named(choice: Any) -> Any:
    """A choice with the name that it had in the paths of wrong fields."""
    if isinstance(choice, dict) and choice["type"] == "function-before":
        kind = choice["schema"]["type"]
        return (choice, kind) if choice["function"]["function"] is _READERS.get(kind) else choice
    return choice


_READERS: Final = {kind: partial(parse_time, kind) for kind in _WRITTEN} | {"decimal": exact_decimal}
_PARSERS: Final = {
    "datetime": SchemaValidator(core_schema.datetime_schema()),
    "date": SchemaValidator(core_schema.date_schema()),
}
