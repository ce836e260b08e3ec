"""The tables of the store of read models in memory: a build with its rows, and the keys that are set aside in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from workflows.amends.ports.event_store import START, FeedCursor
from workflows.amends.ports.projection_builds import (
    LEASE,
    BuildTarget,
    ProjectionBuild,
    RequestedAction,
    TableShape,
)
from workflows.amends.projections.failures import failure_text, is_of_python_values
from workflows.amends.projections.table_check import SPELT
from workflows.amends.values.codec import json_text

BIGINT = range(-(2**63), 2**63)

Row = dict[str, Any]


class RowRefused(Exception):
    """A table does not take a row."""


class MemoryErrors:
    """The meaning of errors: memory is never away."""

    def is_store_away(self, error: BaseException) -> bool:
        return False

    def is_about_row(self, error: BaseException) -> bool:
        return isinstance(error, RowRefused) or is_of_python_values(error)

    def is_expected(self, error: BaseException) -> bool:
        return isinstance(error, RowRefused)

    def one_line_message(self, error: BaseException) -> str:
        lines = str(error).strip().splitlines()
        return lines[0] if lines else type(error).__name__

    def failure_reason(self, error: Exception) -> str:
        return failure_text(error)


@dataclass
class MemoryDeadLetter:
    """A key that is set aside, with the positions of its events."""

    key: str
    error: str
    since: datetime
    requested_action: RequestedAction | None = None
    positions: set[int] = field(default_factory=set)


@dataclass
class MemoryBuild:
    """One build: what Postgres has in amends.builds, in its table, and in amends.set_aside."""

    name: str
    build: int
    version: int
    state: str
    key: str
    columns: Sequence[Row]
    indexes: Sequence[Sequence[str]]
    types: list[str]
    inline: bool
    started_at: datetime
    touched_at: datetime
    promoted_at: datetime | None = None
    cursor: FeedCursor = START
    events: int = 0
    expected: int = 0
    runner: str | None = None
    lease_until: datetime | None = None
    failure_reason: str | None = None
    moved_at: datetime | None = None
    caught_up_at: datetime | None = None
    rows: dict[str, Row] = field(default_factory=dict)
    set_aside: dict[str, MemoryDeadLetter] = field(default_factory=dict)

    @property
    def target(self) -> BuildTarget:
        return BuildTarget(self.name, self.build)

    def is_free(self, now: datetime, ended: bool) -> bool:
        """Whether a runner may take it; `ended` says that the executor of the one that has it was ended."""
        return self.runner is None or self.lease_until is None or self.lease_until < now or ended

    def grant_lease(self, runner: str, now: datetime) -> None:
        """Let a runner have it for as long as any."""
        self.runner, self.lease_until, self.touched_at = runner, now + LEASE, now

    def table_shape(self) -> TableShape:
        """Its table, which nobody changes by hand."""
        own = [{"name": "_version", "type": "integer", "nullable": False}] if self.inline else []
        columns = [*self.columns, *own]
        there = [each | {"type": SPELT.get(each["type"], each["type"]), "given": False} for each in columns]
        indexes: list[Row] = [{"unique": True, "columns": [self.key]}]
        indexes += [{"unique": False, "columns": list(each)} for each in self.indexes]
        return TableShape(True, there, indexes, (), self.columns, False)

    def rows_json(self, rows: Mapping[str, Row], keys: Iterable[str]) -> str:
        """Rows by their keys, as a JSON array."""
        return json_text([rows[key] for key in keys if key in rows])

    def rows_after_change(self, rows: Mapping[str, Row], put: str, gone: Iterable[str]) -> dict[str, Row]:
        """Rows after some were taken out, and others put in. Raises RowRefused for one that no table would take."""
        left = {key: row for key, row in rows.items() if key not in set(gone)}
        for row in json.loads(put):
            self._require_fits(row)
            before = left.get(row[self.key])
            if not (self.inline and before and before["_version"] >= row["_version"]):
                left[row[self.key]] = row
        return left

    def _require_fits(self, row: Row) -> None:
        for column in self.columns:
            value = row[column["name"]]
            if column["type"] == "bigint" and value is not None and value not in BIGINT:
                raise RowRefused(f'value "{value}" is out of range for type bigint')

    def as_projection_build(self, free: bool, skipped: int, run: int) -> ProjectionBuild:
        """As it is listed."""
        return ProjectionBuild(
            self.name,
            self.build,
            self.version,
            self.state,
            list(self.types),
            self.cursor,
            self.events,
            self.expected,
            self.runner,
            free,
            self.failure_reason,
            self.started_at,
            self.moved_at,
            self.caught_up_at,
            self.promoted_at,
            len(self.set_aside),
            any(each.requested_action for each in self.set_aside.values()),
            skipped,
            run,
        )
