"""The bodies of answers about acts on many sagas."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from app.amends.bulk.bulk_acts import BulkStatus
from app.amends.bulk.request import BulkActName
from app.amends.http.openapi.answers import FeedToken
from app.amends.http.openapi.answers.sagas import NextAction, SagaRow
from workflows.amends.acts.dry_run import LeadsTo


class BulkFailure(BaseModel):
    """An error that sagas of a bulk act have in common, without what differs."""

    error: str
    count: int
    examples: list[str]


class BulkNote(BaseModel):
    """Who began, paused, resumed or cancelled it, and why."""

    action: str
    actor: str
    reason: str
    at: datetime


class BulkRow(BaseModel):
    """A bulk act in a list. Of `total` sagas `left` are still to be acted on; `moved_on` have, and were left alone."""

    id: str
    act: BulkActName
    status: BulkStatus
    filter: dict[str, Any]
    reason: str
    actor: str
    signal: str | None
    total: int
    done: int
    failed: int
    moved_on: int
    left: int
    started_at: datetime
    finished_at: datetime | None


class BulkAct(BulkRow):
    """A bulk act with what failed in it, by cause."""

    causes: list[BulkFailure]
    notes: list[BulkNote]


class BulkActs(BaseModel):
    """A page of bulk acts."""

    bulk: list[BulkRow]
    next: FeedToken | None


class BulkBegun(BaseModel):
    """A bulk act that was begun, with the number of sagas that it is fixed to."""

    id: str
    act: BulkActName
    status: BulkStatus
    total: int


class BulkSteered(BaseModel):
    """A bulk act that was paused, resumed or cancelled."""

    id: str
    status: BulkStatus


class BulkOutcome(BaseModel):
    """What an act would lead to for several sagas; `problem` is why it would be refused."""

    leads_to: LeadsTo | None
    problem: str | None
    next: list[NextAction]
    count: int
    examples: list[str]


class BulkDryRun(BaseModel):
    """How many sagas it concerns, the first of them, and what it would lead to for `tried` of them."""

    count: int
    first: list[SagaRow]
    tried: int
    outcomes: list[BulkOutcome]
