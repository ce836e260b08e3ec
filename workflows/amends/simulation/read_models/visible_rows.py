"""Rows of a read model in memory as people see them over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from domain.amends.errors import Conflict, Invalid
from domain.amends.projection import Projection
from workflows.amends.projections.builds import no_column
from workflows.amends.projections.table_check import SPELT
from workflows.amends.simulation.read_models.memory_build import MemoryBuild
from workflows.amends.values.codec import parse_json


def _truth(text: str) -> bool:
    known = {"t": True, "true": True, "f": False, "false": False}
    if text.lower() not in known:
        raise ValueError(f"{text} is neither true nor false")
    return known[text.lower()]


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    return instant if instant.utcoffset() is not None else instant.replace(tzinfo=UTC)


READ: Final[Mapping[str, Callable[[str], Any]]] = {
    "text": str,
    "boolean": _truth,
    "bigint": int,
    "double precision": float,
    "numeric": Decimal,
    "timestamptz": _instant,
    "date": date.fromisoformat,
    "uuid": UUID,
    "jsonb": parse_json,
}
"""How a text is read as a value of a column."""


def visible_rows(
    build: MemoryBuild | None,
    projection: Projection[Any, Any],
    where: Mapping[str, str],
    after: str | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Rows whose columns have these values, after a key, in the order of keys, at most so many."""
    if build is None:
        raise Conflict("missing", f"{projection.name} has no table yet: a server that has its code makes it.")
    types = {column["name"]: column["type"] for column in build.columns}
    wanted = {name: _value(projection, types, name, text) for name, text in sorted(where.items(), key=_in_jsonb)}
    found = [
        {name: row[name] for name in types}
        for key, row in sorted(build.rows.items())
        if (after is None or key > after)
        and all(row[name] is not None and _read(types[name], row[name]) == value for name, value in wanted.items())
    ]
    return [{name: _told(types[name], value) for name, value in row.items()} for row in found[:limit]]


def _in_jsonb(filter: tuple[str, str]) -> tuple[int, bytes]:
    """The order of names in an object of Postgres: the first wrong one is told."""
    name = filter[0].encode()
    return len(name), name


def _value(projection: Projection[Any, Any], types: Mapping[str, str], name: str, text: str) -> Any:
    if name not in types:
        raise no_column(projection, name)
    try:
        return READ[types[name]](text)
    except (ValueError, ArithmeticError) as wrong:
        type = SPELT.get(types[name], types[name])
        raise Invalid(name, f'invalid input syntax for type {type}: "{text}"') from wrong


def _read(type: str, value: Any) -> Any:
    """A value of a column as its type compares it."""
    return READ[type](value) if isinstance(value, str) and type != "jsonb" else value


def _told(type: str, value: Any) -> Any:
    """A value of a column as Postgres writes it in JSON: an instant without zeros at the end of its fraction."""
    if type != "timestamptz" or value is None or "." not in value:
        return value
    return value.removesuffix("Z").rstrip("0").rstrip(".") + "Z"
