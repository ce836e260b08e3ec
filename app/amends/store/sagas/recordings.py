"""Recordings of sagas in Postgres, read page by page or one by one; nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.statements.reader import Reader
from app.amends.store.sagas.encoding import checkpoint_of
from app.amends.store.sagas.replay_states import (
    checkpoint_pages,
    compensated_in_forks,
    event_pages,
    replay_state_of,
)
from domain.amends.event import Cause
from domain.amends.vocabulary import Unreadable
from workflows.amends.compatibility.recorded_saga import (
    FORMAT,
    CompensatedInFork,
    RecordedCheckpoint,
    RecordedEvent,
    RecordedSaga,
)
from workflows.amends.history.replay_state import ReplayState
from workflows.amends.ports.execution_log import SagaIdentity
from workflows.amends.ports.recordings import UNFINISHED, Recording
from workflows.amends.values.codec import parse_json
from workflows.amends.values.printable import error_message

SQL: Final = load_statements(Path(__file__).with_name("recordings.sql"))
FIRST: Final[dict[str, Any]] = {"rows": 100, "bytes": 64 * 1024}
"""How much of each history and of its checkpoints is in the first read."""
PAGE: Final = FIRST | {"limit": 50, "statuses": list(UNFINISHED)}
"""A page of recordings: so many instances."""

AFTER, THESE = "id > %(after)s", "id = any (%(ids)s)"
"""Which recordings are read: those after one, or single ones. A statement holds one of both: each has its own plan."""


class PostgresRecordings:
    """The unfinished sagas of a database, in the order of their ids; workflows.amends.ports.recordings has the port,
    workflows.amends.compatibility.migration and workflows.amends.acts.dry_runs those of single ones."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def count(self) -> int:
        """How many there are now."""
        ((count,),) = await self._reader.tuples(SQL["count"], {"statuses": list(UNFINISHED)})
        return int(count)

    async def served(self) -> set[str]:
        """The types and versions, as name:version, that executors which run now have code for; none if none runs."""
        return {each for (each,) in await self._reader.tuples(SQL["served"], ())}

    async def page(self, after: str) -> Sequence[Recording]:
        return await self._read(AFTER, {"after": after})

    async def of(self, ids: Sequence[str]) -> Sequence[Recording]:
        return await self._read(THESE, {"ids": list(ids)})

    async def of_any_status(self, ids: Sequence[str]) -> Sequence[Recording]:
        return await self._read(THESE, {"ids": list(ids), "statuses": None})

    async def other_versions(self, name: str, version: int, after: str) -> Sequence[str]:
        given = PAGE | {"name": name, "version": version, "after": after}
        return [row["id"] for row in await self._reader.rows(SQL["other_versions"], given)]

    async def _read(self, which: str, given: dict[str, Any]) -> Sequence[Recording]:
        rows = await self._reader.rows(SQL["recordings"].replace("{which}", which), PAGE | given)
        return [await self._recording(row) for row in rows]

    async def sample(self, size: int) -> Sequence[str]:
        """The ids of so many, spread over types and versions, and in each of them over the points where they stand."""
        rows = await self._reader.tuples(SQL["sample"], {"statuses": list(UNFINISHED), "size": size}, patience=None)
        return [id for (id,) in rows]

    async def recorded_saga(self, id: str) -> RecordedSaga | None:
        """All that is recorded of a saga of any status, as it is stored; None if there is none of this id."""
        asked = PAGE | {"ids": [id], "statuses": None, "limit": 1}
        rows = await self._reader.rows(SQL["recordings"].replace("{which}", THESE), asked)
        return await self._recorded(rows[0]) if rows else None

    async def _recorded(self, row: dict[str, Any]) -> RecordedSaga:
        (given,), origin = _inputs(row)
        return RecordedSaga(
            FORMAT,
            row["name"],
            row["version"],
            row["id"],
            row["root"],
            row["parent"],
            row["status"],
            row["settled"],
            row["takeovers"],
            row["provider"],
            _started(origin),
            row["deadline_at"],
            given,
            [
                RecordedEvent(type, version, parse_json(data))
                async for page in event_pages(row, self._reader)
                for _, type, version, data, *_ in page
            ],
            [
                RecordedCheckpoint.of(checkpoint_of(tuple(kept)))
                async for page in checkpoint_pages(row, self._reader)
                for kept in page
            ],
            [CompensatedInFork(each.step, each.occurrence) for each in compensated_in_forks(row)],
        )

    async def _recording(self, row: dict[str, Any]) -> Recording:
        (given,), origin = _inputs(row)
        cause = Cause(workflow_id=row["id"], correlation_id=origin.get("correlation_id"))
        unreadable, replay = None, ReplayState()
        try:
            replay = await replay_state_of(row, self._reader, row["settled"])
        except Unreadable as error:
            unreadable = error_message(error)
        return Recording(
            row["name"],
            row["version"],
            SagaIdentity(row["id"], row["root"], cause, row["parent"]),
            row["status"],
            given,
            _started(origin),
            replay,
            unreadable,
        )


def _inputs(row: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """What a saga was started with, and from where."""
    inputs = parse_json(row["inputs"])
    return inputs["positionalArgs"], inputs["namedArgs"]


def _started(origin: dict[str, Any]) -> datetime | None:
    started = origin.get("started")
    return datetime.fromisoformat(started) if started else None
