"""The bodies of answers about brakes."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from app.amends.http.openapi.answers import FeedToken
from workflows.amends.brakes.brake import WhenStarted


class Scope(BaseModel):
    """What a brake holds: all that meets each of the fields that are given."""

    name: str | None = None
    version: int | None = None
    step: str | None = None
    provider: str | None = None


class BrakeSet(BaseModel):
    """A brake that was set."""

    id: str
    scope: Scope
    starts: WhenStarted
    compensations: bool
    reason: str
    position: FeedToken


class Brake(BaseModel):
    """A brake in force; `waiting` sagas wait at it, and more if `more` says so."""

    id: str
    scope: Scope
    starts: WhenStarted
    compensations: bool
    reason: str
    actor: str
    since: datetime
    waiting: int
    more: bool


class Brakes(BaseModel):
    """The brakes in force, oldest first."""

    brakes: list[Brake]
