"""Reads of sagas for the API: lists with filters, one saga with its history, and waits until it is inactive."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.statements.reader import Reader
from app.amends.postgres.statements.waiter import PollingWaiter
from app.amends.store.executions import ShownExecution, shown_executions
from app.amends.store.sagas.causes import MOST_COUNTED
from app.amends.store.sagas.causes import SQL as CAUSES
from app.amends.store.sagas.filters import CAUSE, SagaFilters, conditions
from app.amends.store.sagas.replay_states import HISTORY_PAGE
from domain.amends.errors import Invalid
from domain.amends.event import EventType
from workflows.amends.history import INACTIVE, TIMER, SagaState, StateFold, Status, saga_histories
from workflows.amends.ports.event_store import FeedCursor, load_event_json
from workflows.amends.values.codec import json_text, parse_json

SQL = load_statements(Path(__file__).with_name("sagas.sql"))
LONGEST_CURSOR = 500
"""The most characters of a cursor: an instant and an id."""
ASK_SECONDS = 0.1
"""How often it is asked whether sagas of other servers are inactive by now."""


@dataclass(frozen=True)
class SagaWait:
    """A wait of a saga: its kind, its name, since when, and until when at most."""

    kind: str
    name: str
    since: datetime
    until: datetime | None
    reason: str | None = None

    def __str__(self) -> str:
        until = f", until {self.until.isoformat(timespec='seconds')}" if self.until else ""
        match self.kind:
            case "provider":
                since = self.since.isoformat(timespec="seconds")
                return f"the provider {self.name}, which is down; it waits since {since}{until}"
            case "brake":
                since = self.since.isoformat(timespec="seconds")
                return f"the brake {self.name} ({self.reason}), at which it waits since {since}{until}"
            case "timer":
                return f"a time{until}"
            case _:
                return f"the {self.kind} {self.name}{until}"


@dataclass(frozen=True)
class SagaSummary:
    """A saga as it is listed."""

    id: str
    name: str
    version: int
    root: str
    reference: str
    status: Status
    reason: str | None
    correlation_id: str
    started_at: datetime
    since: datetime
    finished_at: datetime | None
    waiting_for: str | None
    due_at: datetime | None
    parent: str | None
    provider: str | None
    provider_since: datetime | None
    cause: str | None
    actor: str | None
    brake: str | None
    brake_since: datetime | None
    brake_reason: str | None

    @property
    def waits(self) -> list[SagaWait]:
        """Its waits, as far as its row says."""
        if self.provider and self.provider_since and self.status in ("running", "compensating"):
            return [SagaWait("provider", self.provider, self.provider_since, self.due_at)]
        if self.brake and self.brake_since and self.status in ("queued", "running", "compensating"):
            return [SagaWait("brake", self.brake, self.brake_since, self.due_at, self.brake_reason)]
        if self.status != "waiting" or self.waiting_for is None:
            return []
        kind, name = self.waiting_for, self.waiting_for
        if kind != TIMER:
            family = [each for each in ("child ", "undone ") if name.startswith(each)]
            kind, name = ("child", name.removeprefix(family[0])) if family else ("signal", name)
        return [SagaWait(kind, name, self.since, self.due_at)]

    @property
    def is_inactive(self) -> bool:
        """Whether it goes on only by an operator, a signal or a timer; a saga that waits for a child goes on by
        itself."""
        if self.status == "waiting":
            return not (self.waiting_for or "").startswith("child ")
        return self.status in INACTIVE


class SagaDetails(NamedTuple):
    """A saga, its state, the place in the feed that its history reaches to, and the executors that ran it."""

    row: SagaSummary
    state: SagaState
    cursor: FeedCursor
    executions: list[ShownExecution]


@dataclass(frozen=True)
class SagaCount:
    """How many sagas match, as far as they are counted; `more` says that there are more than that."""

    value: int
    more: bool


class SagaSummaries:
    """Reads of sagas for people."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def page(self, filters: SagaFilters, limit: int, cursor: str | None) -> tuple[list[SagaSummary], str | None]:
        """A page, newest first, and the cursor of the next one, None at the end."""
        at, id = read_page_cursor(cursor) if cursor else (None, None)
        parameters = filters.parameters() | {"before_at": at, "before_id": id, "limit": limit + 1}
        rows = [SagaSummary(**row) for row in await self._matching("sagas", filters, parameters)]
        page = rows[:limit]
        return page, page_cursor(page[-1].started_at, page[-1].id) if len(rows) > limit else None

    async def count(self, filters: SagaFilters) -> SagaCount:
        """How many sagas match; no more than `MOST_COUNTED` are counted."""
        parameters = filters.parameters() | {"limit": MOST_COUNTED + 1}
        rows = await self._matching("count_sagas", filters, parameters)
        count = rows[0]["count"] if rows else 0
        return SagaCount(min(count, MOST_COUNTED), count > MOST_COUNTED)

    async def _matching(self, what: str, filters: SagaFilters, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        """The rows of a statement for sagas that match; each is planned for its values, which decide its plan.

        The causes that are asked for, and the names of a version, are looked up first: they are few, and an index has
        the newest sagas of each.
        """
        column, each = "", list[str]()
        if filters.needs_causes:
            column, each = CAUSE, [row["id"] for row in await self._reader.rows(CAUSES["matching"], parameters)]
            parameters |= {"name": None, "version": None}  # a cause is one of a single name and version
        elif filters.version is not None and filters.name is None:
            column = "name"
            each = [row["name"] for row in await self._reader.rows(SQL["names_of_version"], parameters)]
        if column and not each:
            return []
        statement = SQL[f"{what}_of_each" if column else what]
        statement = statement.format(column=column, conditions=conditions(parameters))
        return await self._reader.rows(statement, parameters | {"each": each}, anew=True)

    async def row(self, id: str) -> SagaSummary | None:
        """One saga as it is listed."""
        row = await self._reader.row(SQL["saga"], (id,))
        return SagaSummary(**row) if row else None

    async def executions(self, id: str) -> list[ShownExecution]:
        """The executors that ran a saga, oldest first."""
        return shown_executions(await self._reader.tuples(SQL["executions"], (id,)))

    async def saga_with_state(self, id: str) -> SagaDetails | None:
        """One saga, its state, and who ran it.

        A long history is read page by page, and other work goes on in between.
        """
        row = await self._reader.row(SQL["saga_with_history"], {"id": id} | HISTORY_PAGE)
        if row is None:
            return None
        order = (row.pop(each) or 0 for each in ("generation", "transaction_id", "position"))
        place = FeedCursor(*order, event=row.pop("event"), run=row.pop("run"))  # type: ignore
        executions = shown_executions(row.pop("executions") or ())
        newest, stretch = row.pop("newest") or 0, row.pop("told") or ()
        fold, count = StateFold(), 0
        while stretch:
            for _, type, version, data, at in stretch:
                fold.add_event(load_event_json(saga_histories.vocabulary, EventType(type, version), data), _instant(at))
            count += len(stretch)
            further = {"id": id, "after": count} | HISTORY_PAGE
            stretch = await self._reader.tuples(SQL["more_history"], further) if count < newest else ()
        return SagaDetails(SagaSummary(**row), fold.state(), place, executions)


def _instant(at: str | datetime) -> datetime:
    return datetime.fromisoformat(at) if isinstance(at, str) else at


def inactivity_waiter(reader: Reader) -> PollingWaiter[str, bool]:
    """Waits until sagas are finished or suspended, by their ids; a server that runs some gives their results at
    once."""

    async def ask(ids: Collection[str]) -> dict[str, bool]:
        rows = await reader.rows(SQL["resting"], (sorted(INACTIVE), list(ids)), patience=None)
        return {row["id"]: True for row in rows if row["rests"]}

    return PollingWaiter("sagas", ask, ASK_SECONDS)


def page_cursor(at: datetime, id: str) -> str:
    """The place where a page ends, newest first."""
    return base64.urlsafe_b64encode(json_text([at, id]).encode()).decode().rstrip("=")


def read_page_cursor(cursor: str) -> tuple[datetime, str]:
    """The place where a page ended. Raises Invalid for a text that `page_cursor` has not made."""
    wrong = Invalid("cursor", "is not one that was given out as `next`")
    if len(cursor) > LONGEST_CURSOR:
        raise wrong
    try:
        read = parse_json(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        match read:
            case [str(at), str(id)] if "\0" not in id:
                return datetime.fromisoformat(at), id
    except (ValueError, binascii.Error) as error:
        raise wrong from error
    raise wrong
