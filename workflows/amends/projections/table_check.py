"""Compares the table of a build with the code: a difference without a new version is an error that says what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from domain.amends.errors import AmendsError
from domain.amends.projection import Projection
from domain.amends.read_model.columns import Column
from workflows.amends.ports.projection_builds import BuildTarget, TableShape

SPELT = {"timestamptz": "timestamp with time zone"}
"""Types that Postgres shows by another name."""


class TableChanged(AmendsError):
    """{differences}: {advice}."""

    differences: str
    advice: str


def require_same_table(projection: Projection[Any, Any], target: BuildTarget, shape: TableShape) -> bool:
    """Raise TableChanged, with everything that differs, if the table of a build is not what the code writes.

    Columns that others have added are left alone, if a row can do without. Returns whether its view is missing.
    """
    table = f"views.{target.name}_{target.build}"
    if shape.made is None:
        return False  # it was dropped, as it should be: its writer finds that out
    if not shape.there:
        raise TableChanged(f"{table} is missing", f"bring it back, or ./run amends projections rebuild {target.name}")
    found = [*_columns(projection, shape.columns, shape.made), *_indexes(projection, shape.indexes)]
    if found:
        problem = f"{table} is not what the code writes: {'; '.join(found)}"
        raise TableChanged(problem, _advice(projection, shape.made))
    if shape.lacking:
        rights = ", ".join(shape.lacking)
        raise TableChanged(f"the service may not {rights} in {table}", f"grant {rights} on {table} to amends_service")
    return shape.hidden


def columns_of(projection: Projection[Any, Any]) -> list[dict[str, Any]]:
    """The columns with which the table of a projection is made, as plain data."""
    return [{"name": each.name, "type": each.type, "nullable": each.nullable} for each in projection.columns]


def _columns(
    projection: Projection[Any, Any], there: Sequence[Mapping[str, Any]], made: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    inline = [Column("_version", "integer", False)] if projection.mode == "inline" else []
    wanted, found = [*projection.columns, *inline], {each["name"]: each for each in there}
    for column in wanted:
        if column.name not in found:
            yield f"column {column.name} is missing in the table"
            continue
        type, nullable = found[column.name]["type"], found[column.name]["nullable"]
        spelt = SPELT.get(column.type, column.type)
        if type != spelt:
            yield f"column {column.name} is {type} in the table and {spelt} in the code"
        if nullable != column.nullable:
            yield f"column {column.name} {_null(nullable)} in the table, and {_null(column.nullable)} in the code"
    known, once = {column.name for column in wanted}, {each["name"] for each in made} | {"_version"}
    for name, each in found.items():
        if name not in known and (name in once or not (each["nullable"] or each["given"])):
            yield f"column {name} is in the table and not in the code"


def _null(nullable: bool) -> str:
    return "may be null" if nullable else "is not null"


def _indexes(projection: Projection[Any, Any], there: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not any(each["unique"] and each["columns"] == [projection.key] for each in there):
        yield f"column {projection.key} has no primary key in the table"
    for index in projection.indexes:
        if not any(each["columns"] == list(index) for each in there):
            yield f"the index on column {', '.join(index)} is missing in the table"


def _advice(projection: Projection[Any, Any], made: Sequence[Mapping[str, Any]]) -> str:
    """The code was changed if the table was made with other columns, the table itself if not."""
    columns = columns_of(projection)
    rebuild = f"./run amends projections rebuild {projection.name}"
    if list(made) == columns:
        return f"the table was changed by hand, or an index in the code: change it back, or {rebuild}"
    return f"the code was changed: raise its version to {projection.version + 1}, and {rebuild}"
