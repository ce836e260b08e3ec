"""Recordings of unfinished sagas in Postgres, read page by page or one by one; nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.statements.reader import Reader
from app.amends.store.sagas.replay_states import replay_state_of
from domain.amends.event import Cause
from domain.amends.vocabulary import Unreadable
from workflows.amends.history.replay_state import ReplayState
from workflows.amends.ports.execution_log import SagaIdentity
from workflows.amends.ports.recordings import UNFINISHED, Recording
from workflows.amends.values.codec import parse_json
from workflows.amends.values.printable import error_message

SQL = load_statements(Path(__file__).with_name("recordings.sql"))
PAGE: dict[str, Any] = {"limit": 50, "rows": 100, "bytes": 64 * 1024, "statuses": list(UNFINISHED)}
"""A page of recordings: so many instances, and so much of each history and of its checkpoints in the first read."""

AFTER, THESE = "id > %(after)s", "id = any (%(ids)s)"
"""Which recordings are read: those after one, or single ones. A statement holds one of both: each has its own plan."""


class PostgresRecordings:
    """The unfinished sagas of a database, in the order of their ids; workflows.amends.ports.recordings has the port,
    workflows.amends.compatibility.migration that of single ones."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def page(self, after: str) -> Sequence[Recording]:
        return await self._read(AFTER, {"after": after})

    async def of(self, ids: Sequence[str]) -> Sequence[Recording]:
        return await self._read(THESE, {"ids": list(ids)})

    async def other_versions(self, name: str, version: int, after: str) -> Sequence[str]:
        given = PAGE | {"name": name, "version": version, "after": after}
        return [row["id"] for row in await self._reader.rows(SQL["other_versions"], given)]

    async def _read(self, which: str, given: dict[str, Any]) -> Sequence[Recording]:
        rows = await self._reader.rows(SQL["recordings"].replace("{which}", which), PAGE | given)
        return [await self._recording(row) for row in rows]

    async def _recording(self, row: dict[str, Any]) -> Recording:
        inputs = parse_json(row["inputs"])
        (given,), origin = inputs["positionalArgs"], inputs["namedArgs"]
        cause = Cause(workflow_id=row["id"], correlation_id=origin.get("correlation_id"))
        unreadable, replay = None, ReplayState()
        try:
            replay = await replay_state_of(row, self._reader, row["settled"])
        except Unreadable as error:
            unreadable = error_message(error)
        started = origin.get("started")
        return Recording(
            row["name"],
            row["version"],
            SagaIdentity(row["id"], row["root"], cause, row["parent"]),
            row["status"],
            given,
            datetime.fromisoformat(started) if started else None,
            replay,
            unreadable,
        )
