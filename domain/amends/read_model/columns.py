"""The columns of a read model's table, made from the fields of its rows."""

from __future__ import annotations

import re
import types
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from domain.amends.errors import DefinitionError
from domain.amends.sensitive import SECRET, marks_within

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
NUMBERED = re.compile(r".*_[0-9]+")
"""How the tables behind a read model are named: nobody else's name may look like that."""

PLAIN = {str: "text", bool: "boolean", int: "bigint", float: "double precision", Decimal: "numeric",
         datetime: "timestamptz", date: "date", UUID: "uuid"}  # fmt: skip
"""Postgres's types for the types of fields; what is none of them is kept as jsonb."""

SYSTEM = ("tableoid", "xmin", "cmin", "xmax", "cmax", "ctid")
"""Columns that every table of Postgres has."""

UNKEPT: dict[Any, str] = {
    set: "has no order: use tuple[…, ...]",
    frozenset: "has no order: use tuple[…, ...]",
    bytes: "holds bytes: use str",
    object: "has no type that says what it holds",
    Any: "has no type that says what it holds",
}
"""What does not come back of jsonb. More is known to workflows.amends.values.codec.require_json."""


@dataclass(frozen=True)
class Column:
    """A column of the table: its name, its type in Postgres, and whether it may be null."""

    name: str
    type: str
    nullable: bool


def column(projection: str, name: str, annotation: Any) -> Column:
    """The column of a field. Raises DefinitionError for one that no table keeps as it is."""
    if SECRET in marks_within(annotation):
        raise DefinitionError(
            f"projection {projection!r}", f"{name} is secret: it has no place in a table for everybody"
        )
    if not NAME.fullmatch(name):
        raise DefinitionError(
            f"projection {projection!r}", f"{name!r} cannot be a column: lower-case words, at most 40 letters"
        )
    if name in SYSTEM:
        raise DefinitionError(
            f"projection {projection!r}", f"{name!r} cannot be a column: every table of Postgres has one"
        )
    if problem := _unkept(annotation):
        raise DefinitionError(f"projection {projection!r}", f"{name} {problem}")
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    parts = union_members(annotation)
    wanted = [part for part in parts if part is not type(None)]
    return Column(name, _type(wanted[0]) if len(wanted) == 1 else "jsonb", _takes_none(annotation))


def _takes_none(annotation: Any) -> bool:
    """Whether a value may be None, also where a Literal or an alias hides that."""
    if annotation is None or annotation is type(None):
        return True
    origin = get_origin(annotation)
    if origin is Literal:
        return None in get_args(annotation)
    if origin is Annotated:
        return _takes_none(get_args(annotation)[0])
    alias = annotation if hasattr(annotation, "__value__") else origin
    if hasattr(alias, "__value__"):
        return _takes_none(alias.__value__)
    return origin in (Union, types.UnionType) and any(map(_takes_none, get_args(annotation)))


def _unkept(annotation: Any) -> str | None:
    origin = get_origin(annotation) or annotation
    if origin is Literal:
        return None
    if (origin is Any or isinstance(origin, type)) and (problem := UNKEPT.get(origin)):
        return problem
    return next((found for part in get_args(annotation) if (found := _unkept(part))), None)


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal and all(isinstance(value, str) for value in get_args(annotation)):
        return "text"
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return "text"
    return PLAIN.get(annotation, "jsonb")


def union_members(annotation: Any) -> tuple[Any, ...]:
    """The parts of a union; an annotation that is none is its own only part."""
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
