"""The saga store in Postgres: sagas are started, claimed, committed to, released and read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from psycopg.rows import TupleRow

from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.statements.reader import Reader
from app.amends.postgres.statements.resending import Unanswered
from app.amends.store.aggregates.loader import AggregateLoader
from app.amends.store.brakes import brake_of
from app.amends.store.events.encoding import answer_json, new_event_json, new_events_text
from app.amends.store.events.writer import EventWriter
from app.amends.store.sagas.encoding import cause_json, commit_parameters, start_json
from app.amends.store.sagas.replay_states import HISTORY_PAGE, replay_state_of
from app.amends.store.sagas.transactions import PostgresTransaction, commit_outcome
from domain.amends.errors import NotFound, StaleVersion, Unavailable
from domain.amends.event import EventType, event_type
from workflows.amends.history import SagaStuck, Status, saga_histories
from workflows.amends.history.replay_state import ReplayState
from workflows.amends.ports.event_store import (
    START,
    FeedCursor,
    NewEvent,
    RepeatedRequest,
    StoredAnswer,
    load_event_json,
)
from workflows.amends.ports.execution_log import (
    Committed,
    StartRequest,
    StatusChange,
    StepCommit,
    StepTransaction,
    StreamMoved,
)
from workflows.amends.ports.executors import OtherExecutor
from workflows.amends.ports.saga_store import (
    BrakeReport,
    ClaimedSaga,
    ProviderReport,
    RecordedStart,
    RefusedStart,
    StartOutcome,
    StatusDetails,
    Unmoved,
    VersionMove,
)
from workflows.amends.providers import Outage
from workflows.amends.values.codec import json_text

SQL = load_statements(Path(__file__).with_name("sagas.sql"))
EXECUTORS = load_statements(Path(__file__).with_name("executors.sql"))
STUCK = event_type(SagaStuck).name
HAND_OVER_PATIENCE = 5.0
START_PATIENCE = 10.0
"""How long a start waits for the database, in seconds, before the caller has to try again."""


class PostgresSagas:
    """The store of the engine; workflows.amends.ports.saga_store.SagaStore says what it promises."""

    def __init__(self, writer: EventWriter, reader: Reader, loader: AggregateLoader) -> None:
        self._writer, self._reader, self._loader = writer, reader, loader
        self._committer = writer.committer

    async def start(self, start: StartRequest) -> StartOutcome | RefusedStart:
        parameters = start_json(start) | {
            "events": new_events_text([start.event]),
            "executor": start.executor,
            "owner": start.owner,
            "deadline": start.deadline,
        }
        before = self._writer.recent.end
        try:
            rows = await self._committer.run(SQL["start_saga"], parameters, START_PATIENCE)
        except Unavailable as away:
            raise Unanswered(away.seconds, start.id) from away
        if rows[0][0] == "refused":
            return RefusedStart(rows[0][1])
        outcome = StartOutcome.TAKEN if rows[0][0] == "foreign" else StartOutcome(rows[0][0])
        if outcome in (StartOutcome.STARTED, StartOutcome.HELD):
            self._writer.recent.note_committed([start.event], before)
        return outcome

    async def recorded_start(self, id: str) -> RecordedStart | None:
        row = await self._reader.row(SQL["recorded_start"], (id,))
        return RecordedStart(**row) if row else None

    async def claim(self, executor: str, owner: str, kinds: Sequence[str], limit: int) -> list[ClaimedSaga]:
        rows = await self._committer.run(SQL["claim_sagas"], (executor, owner, list(kinds), limit))
        return [ClaimedSaga(id, name, inputs) for id, name, inputs, _ in rows]

    async def brakes(self) -> BrakeReport:
        (row,) = await self._reader.rows(SQL["brakes"], ())
        return BrakeReport(tuple(brake_of(each) for each in row["brakes"]), row["lifted"])

    async def release_held(self, limit: int) -> int:
        rows = await self._committer.run(SQL["release_held"], (limit,))
        return int(rows[0][0])

    async def awaited_providers(self, executor: str) -> list[ProviderReport]:
        rows = await self._reader.rows(SQL["awaited"], (executor,))
        return [
            ProviderReport(
                row["provider"],
                row["awaited"],
                row["down_since"] and Outage(row["provider"], row["down_since"], row["error"]),
            )
            for row in rows
        ]

    async def claim_waiting_for_provider(
        self, executor: str, owner: str, provider: str, kinds: Sequence[str], limit: int, patience: float
    ) -> list[ClaimedSaga]:
        parameters = (executor, owner, provider, list(kinds), limit, patience)
        rows = await self._committer.run(SQL["claim_awaiting"], parameters)
        return [ClaimedSaga(*row) for row in rows]

    async def enqueue_due(self, limit: int) -> int:
        rows = await self._committer.run(SQL["wake_due"], (limit,))
        return int(rows[0][0])

    async def load_replay_state(self, id: str) -> ReplayState | None:
        row = await self._reader.row(SQL["replay_state"], {"id": id} | HISTORY_PAGE, patience=None)
        return None if row is None else await replay_state_of(row, self._reader, row["was_settled"])

    async def note_unclaimed_run(self, id: str) -> None:
        await self._committer.run(SQL["unsettle"], (id,))

    async def adopt_fork(self, id: str) -> None:
        await self._committer.run(SQL["adopt_fork"], {"id": id})

    async def commit(self, id: str, owner: str, step_commit: StepCommit) -> Committed | StreamMoved:
        parameters = commit_parameters(id, owner, step_commit)
        return commit_outcome(await self._writer.commit(SQL["commit_step"], parameters, step_commit.events))

    def transaction(self, id: str, owner: str) -> AbstractAsyncContextManager[StepTransaction]:
        return PostgresTransaction(self._writer, self._reader, self._loader, id, owner)

    async def status_details(self, id: str) -> StatusDetails | None:
        row = await self._reader.row(SQL["standing"], (id,))
        if row is None:
            return None
        version, shape, data = row["version"], row["schema_version"], row["data"]
        stuck = None if version is None else load_event_json(saga_histories.vocabulary, EventType(STUCK, shape), data)
        assert stuck is None or isinstance(stuck, SagaStuck)
        return StatusDetails(row["status"], row["turned_back"], stuck, version)

    async def apply_operator_action(
        self,
        id: str,
        stuck_at: int | None,
        allowed: Sequence[Status],
        event: NewEvent,
        status: Status,
        answer: StoredAnswer | None,
        cancel: str | None = None,
    ) -> FeedCursor | Status | RepeatedRequest:
        kept = answer and json_text(answer_json(answer))
        parameters = (id, stuck_at, list(allowed), new_events_text([event]), status, kept, cancel)
        rows = await self._committer.run(SQL["act_on_saga"], parameters, START_PATIENCE)
        if rows[0][0] == "stale":
            raise StaleVersion(saga_histories.stream(id), stuck_at or 0, -1)
        return _answered(id, rows[0])

    async def signal(
        self, id: str, signal: str, event: NewEvent, answer: StoredAnswer | None
    ) -> FeedCursor | Status | RepeatedRequest:
        parameters = (id, signal, new_events_text([event]), answer and json_text(answer_json(answer)))
        rows = await self._committer.run(SQL["signal_saga"], parameters, START_PATIENCE)
        return _answered(id, rows[0])

    async def cancel(
        self, id: str, pivots: Sequence[str], reason: str, event: NewEvent, answer: StoredAnswer | None
    ) -> FeedCursor | Status | RepeatedRequest | None:
        parameters = (id, list(pivots), reason, new_events_text([event]), answer and json_text(answer_json(answer)))
        rows = await self._committer.run(SQL["cancel_saga"], parameters, START_PATIENCE)
        return None if rows[0][0] == "past" else _answered(id, rows[0])

    async def migrate(
        self, move: VersionMove, event: NewEvent, answer: StoredAnswer | None
    ) -> FeedCursor | Unmoved | RepeatedRequest:
        kept = answer and json_text(answer_json(answer))
        parameters = (move.id, move.from_version, move.to_version, move.at, new_events_text([event]), kept)
        rows = await self._committer.run(SQL["migrate_saga"], parameters, START_PATIENCE)
        if rows[0][0] == "stale":
            raise StaleVersion(saga_histories.stream(move.id), move.at, -1)
        return _answered(move.id, rows[0])

    async def cancel_requests(self, executor: str) -> list[tuple[str, str]]:
        rows = await self._reader.rows(SQL["cancelled"], (executor,))
        return [(row["id"], row["cancel_reason"]) for row in rows]

    async def recorded_running(self, executor: str) -> list[tuple[str, str]]:
        rows = await self._reader.rows(SQL["running"], (executor,))
        return [(row["workflow_uuid"], row["owner_xid"]) for row in rows]

    async def release(self, id: str, executor: str, owner: str) -> None:
        await self._committer.run(SQL["release_one"], (id, executor, owner))

    async def release_orphans(self) -> int:
        rows = await self._committer.run(SQL["release_orphans"], ())
        return int(rows[0][0])

    async def requeue_lost_ends(self) -> int:
        rows = await self._committer.run(SQL["resume_lost"], ())
        return int(rows[0][0])

    async def queued_without_code(self) -> list[tuple[str, str, int]]:
        rows = await self._reader.rows(SQL["without_code"], ())
        return [(row["id"], row["name"], row["version"]) for row in rows]

    async def claim_incompatible(
        self, executor: str, owner: str, kinds: Sequence[str], limit: int, tried: Sequence[str]
    ) -> list[ClaimedSaga]:
        parameters = (executor, owner, list(kinds), limit, list(tried))
        rows = await self._committer.run(SQL["claim_incompatible"], parameters)
        return [ClaimedSaga(*row) for row in rows]

    async def ended_abnormally(self) -> list[tuple[str, str, int, str]]:
        rows = await self._reader.rows(SQL["ended_abnormally"], ())
        return [(row["id"], row["name"], row["version"], row["status"]) for row in rows]

    async def append_to_unowned(self, id: str, event: NewEvent, change: StatusChange, unless: Sequence[Status]) -> bool:
        told = json_text([new_event_json(event) | {"cause": cause_json(change.cause)}])
        parameters = (id, [*unless, change.status], told, change.status, change.reason)
        rows = await self._committer.run(SQL["note_saga"], parameters)
        done: bool = rows[0][0]
        return done

    async def register_executor(
        self, executor: str, machine: str, pid: int, process_started_at: float, kinds: Sequence[str], lease: float
    ) -> datetime:
        parameters = {"id": executor, "machine": machine, "pid": pid, "born": process_started_at, "kinds": list(kinds)}
        rows = await self._committer.run(EXECUTORS["register"], parameters | {"lease": timedelta(seconds=lease)})
        now: datetime = rows[0][0]
        return now

    async def other_executors(self, executor: str) -> list[OtherExecutor]:
        rows = await self._reader.rows(EXECUTORS["others"], (executor,))
        return [OtherExecutor(**row) for row in rows]

    async def hand_over(self, executor: str, running: Sequence[str]) -> int:
        rows = await self._committer.run(SQL["hand_over"], (executor, list(running)), HAND_OVER_PATIENCE)
        return int(rows[0][0])

    async def end_executors(self, executors: Sequence[str], by: str, died: bool, patience: float | None = None) -> int:
        rows = await self._committer.run(EXECUTORS["end_executors"], (list(executors), by, died), patience)
        return int(rows[0][0])


def _answered(id: str, row: TupleRow) -> FeedCursor | Any | RepeatedRequest:
    """The result of a signal, a cancel or an operator's action. Raises NotFound if there is no such saga."""
    outcome, status, cursor, digest, body = row
    if outcome == "repeated":
        return RepeatedRequest(digest, body)
    if outcome != "wrong":
        return FeedCursor.parse(cursor) or START
    if status is None:
        raise NotFound("workflow", id)
    return status
