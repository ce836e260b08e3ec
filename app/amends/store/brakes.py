"""Brakes in Postgres: set, lifted and listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.statements.committer import Committer
from app.amends.postgres.statements.reader import Reader
from app.amends.store.events.encoding import answer_json, new_events_text
from domain.amends.errors import NotFound
from workflows.amends.brakes.brake import FIELDS, Brake, BrakeScope
from workflows.amends.ports.brakes import BrakeLift
from workflows.amends.ports.event_store import START, FeedCursor, NewEvent, RepeatedRequest, StoredAnswer
from workflows.amends.values.codec import json_text

SQL = load_statements(Path(__file__).with_name("brakes.sql"))
PATIENCE: Final = 10.0
"""How long the database is waited for, in seconds."""
MOST_COUNTED: Final = 10_000


@dataclass(frozen=True)
class BrakeStanding:
    """A brake in force, and how many sagas wait at it; `more` says that there are more than that."""

    brake: Brake
    waiting: int
    more: bool


class PostgresBrakes:
    """workflows.amends.ports.brakes.BrakeStore says what it promises."""

    def __init__(self, committer: Committer, reader: Reader) -> None:
        self._committer, self._reader = committer, reader

    async def set_brake(
        self, brake: Brake, event: NewEvent, answer: StoredAnswer | None
    ) -> FeedCursor | RepeatedRequest:
        row = {"id": brake.id, **vars(brake.scope), "starts": brake.starts, "compensations": brake.compensations}
        row |= {"reason": brake.reason, "actor": brake.actor}
        kept = answer and json_text(answer_json(answer))
        parameters = (json_text(row), new_events_text([event]), kept)
        ((outcome, place, digest, body),) = await self._committer.run(SQL["set_brake"], parameters, PATIENCE)
        if outcome == "repeated":
            return RepeatedRequest(digest, body)
        return FeedCursor.parse(place) or START

    async def lift_brake(self, id: str, by: str, reason: str, event: NewEvent) -> bool:
        parameters = (id, by, reason, new_events_text([event]))
        ((outcome,),) = await self._committer.run(SQL["lift_brake"], parameters, PATIENCE)
        if outcome == "missing":
            raise NotFound("brake", id)
        return bool(outcome == "lifted")

    async def knows_sagas(self, name: str | None, version: int | None) -> bool:
        (row,) = await self._reader.rows(SQL["knows_sagas"], {"name": name, "version": version})
        known: bool = row["known"]
        return known

    async def in_force(self) -> list[BrakeStanding]:
        """The brakes in force, oldest first."""
        return await brakes_in_force(self._reader)

    async def lift_of(self, id: str) -> BrakeLift | None:
        row = await self._reader.row(SQL["one"], (id,))
        if row is None or row["lifted_at"] is None:
            return None
        return BrakeLift(row["lifted_by"], row["lifted_reason"], row["lifted_at"])


async def brakes_in_force(reader: Reader) -> list[BrakeStanding]:
    """The brakes in force, oldest first, with how many sagas wait at each."""
    rows = await reader.rows(SQL["in_force"], (MOST_COUNTED + 1,))
    return [
        BrakeStanding(brake_of(row["brake"]), min(row["waiting"], MOST_COUNTED), row["waiting"] > MOST_COUNTED)
        for row in rows
    ]


def brake_of(row: Mapping[str, Any]) -> Brake:
    """A brake of its row as JSON."""
    scope = BrakeScope(**{field: row[field] for field in FIELDS})
    set_at = datetime.fromisoformat(row["set_at"])
    return Brake(row["id"], scope, row["starts"], row["compensations"], row["reason"], row["actor"], set_at)
