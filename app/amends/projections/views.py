"""What people see of read models: rows of the live build, and how far it has got."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from app.amends.postgres.sqlstates import Sqlstate, is_about_value, sqlstate
from app.amends.postgres.statements.reader import Reader
from app.amends.projections import SQL
from domain.amends.errors import AmendsError, Conflict, Invalid
from domain.amends.projection import Projection
from workflows.amends.ports.event_store import FeedCursor
from workflows.amends.projections.builds import no_column
from workflows.amends.values.codec import json_text, parse_json


async def visible_rows(
    reader: Reader, projection: Projection[Any, Any], where: Mapping[str, str], after: str | None, limit: int
) -> list[dict[str, Any]]:
    """Rows of the live build, by the names of its columns."""
    parameters = {"name": projection.name, "where": json_text(where), "after": after, "limit": limit}
    try:
        answer = await reader.tuples(SQL["rows"], parameters, ours=False)
    except psycopg.Error as error:
        if (refused := _refused(error, projection, where)) is None:
            raise
        raise refused from error
    found: list[dict[str, Any]] = parse_json(answer[0][0])
    instants = [column.name for column in projection.columns if column.type == "timestamptz"]
    for row in found:
        row.update({column: _in_utc(row[column]) for column in instants if row.get(column)})
    return found


async def have_reached(reader: Reader, name: str, cursors: Sequence[FeedCursor]) -> list[bool | None]:
    """Whether the live build has got to each of these places; False for one that does not stand any more."""
    columns = zip(*((*each, each.event) for each in cursors), strict=True)
    known: list[bool | None] = [None] * len(cursors)
    for number, stands in await reader.tuples(SQL["reached"], (*map(list, columns), name)):
        known[number - 1] = stands
    return known


def _refused(error: psycopg.Error, projection: Projection[Any, Any], where: Mapping[str, str]) -> AmendsError | None:
    """The error for the caller that a statement's error stands for; None if it is another one."""
    said = str(error.diag.message_primary)
    if sqlstate(error) == Sqlstate.UNDEFINED_COLUMN:
        return no_column(projection, next((each for each in where if f" {each} " in f" {said} "), "query"))
    if sqlstate(error) == Sqlstate.UNDEFINED_TABLE:
        return Conflict("missing", f"{projection.name} has no table yet: a server that has its code makes it.")
    return Invalid(_field(where, said), said) if is_about_value(error) else None


def _in_utc(instant: str) -> str:
    """An instant in UTC, written as all others are."""
    return instant.removesuffix("+00:00") + "Z" if instant.endswith("+00:00") else instant


def _field(where: Mapping[str, str], said: str) -> str:
    """The filter whose value its column cannot have: the one that the database quotes."""
    return next((name for name, value in where.items() if f'"{value}"' in said), "query")
