"""Rows of statements about read models as the values of their store's port."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from psycopg.rows import TupleRow

from domain.amends.projection import Projection
from workflows.amends.ports.event_store import FeedCursor
from workflows.amends.ports.projection_builds import LEASE, BuildCommit, FeedEvent, ProjectionBuild, TableShape
from workflows.amends.projections.feed import types_of
from workflows.amends.projections.table_check import columns_of
from workflows.amends.values.codec import json_text, parse_json


def parse_feed_events(rows: Iterable[TupleRow]) -> list[FeedEvent]:
    """Events as statements of projections.sql return them."""
    return list(map(FeedEvent._make, rows))


def parse_table_shape(rows: Sequence[TupleRow]) -> TableShape:
    """The answer of the statement `shape`."""
    ((there, columns, indexes, lacking, made, hidden),) = rows
    written = None if made is None else parse_json(made)
    return TableShape(there, parse_json(columns), parse_json(indexes), lacking, written, bool(hidden))


def parse_build(row: dict[str, Any]) -> ProjectionBuild:
    """A row of the statement `builds`."""
    cursor = FeedCursor(row.pop("generation"), row.pop("transaction_id"), row.pop("position"))
    return ProjectionBuild(cursor=cursor, **row)


def commit_parameters(commit: BuildCommit) -> dict[str, Any]:
    """The parameters of the statement `write`."""
    return vars(commit.target) | {
        "runner": commit.runner,
        "lease": LEASE,
        "run": commit.run,
        "from": list(commit.begin),
        "to": list(commit.end),
        "events": commit.events,
        "rows": commit.rows,
        "gone": list(commit.gone),
        "cleared": commit.cleared[0],
        "granted": commit.cleared[1],
        "aside": json_text([vars(each) for each in commit.rejected]),
        "skipped": json_text([{"key": key, "position": position} for key, position in commit.skipped]),
        "caught_up": commit.caught_up,
    }


def build_parameters(projection: Projection[Any, Any], first: bool) -> dict[str, Any]:
    """The parameters by which the database makes a build."""
    return {
        "name": projection.name,
        "version": projection.version,
        "key": projection.key,
        "columns": json_text(columns_of(projection)),
        "indexes": json_text([list(index) for index in projection.indexes]),
        "types": types_of(projection),
        "inline": projection.mode == "inline",
        "first": first,
    }
