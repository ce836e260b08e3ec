"""Decimals as they are written: every digit counts, and there are as many as Postgres' numeric has."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import PydanticCustomError, SchemaValidator, core_schema, to_json

from domain.amends.errors import Unstorable
from domain.amends.read_model.rows import MOST_AFTER, MOST_BEFORE, fits_numeric
from workflows.amends.values.limits import contained_values

TOO_LONG: Final = f"has more digits than can be stored: {MOST_BEFORE} before and {MOST_AFTER} after the point"

_FAR: Final = re.compile(rb"[0-9]E[+-]?[0-9]{5}")
"""How a Decimal far from the point is written in short."""


def exact_decimal(value: object) -> object:
    """What a text or a whole number says as a Decimal; other values stay.

    Raises PydanticCustomError for a number of JSON with a point or an exponent: its digits are lost already.
    """
    if isinstance(value, float):
        raise PydanticCustomError("not_a_text", 'must be written as a text, such as "1.10"')
    if isinstance(value, bool) or not isinstance(value, str | int):
        return value
    try:
        amount = _PARSER.validate_json(to_json(value), strict=True)
    except ValidationError as error:
        found = error.errors()[0]
        raise PydanticCustomError("not_a_decimal", "{problem}", {"problem": found["msg"]}) from error
    if not fits_numeric(amount):
        raise PydanticCustomError("too_many_digits", "{problem}", {"problem": TOO_LONG})
    return amount


_PARSER: Final = SchemaValidator(core_schema.decimal_schema())


def require_amounts(value: object, written: bytes, what: str) -> None:
    """Refuse a value, whose text this is, with a Decimal that Postgres does not take. Raises Unstorable."""
    if len(written) <= MOST_AFTER and not _FAR.search(written):
        return
    parts: list[Any] = [value]
    while parts:
        part = parts.pop()
        if isinstance(part, Decimal) and not fits_numeric(part):
            raise Unstorable(f"{what} contains a number that {TOO_LONG}")
        parts += contained_values(type(part), part) or ()
