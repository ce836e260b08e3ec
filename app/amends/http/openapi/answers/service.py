"""The bodies of answers about the service itself, and the fields of a problem."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel


class Outage(BaseModel):
    """A provider that does not answer."""

    provider: str
    down_since: datetime
    error: str | None
    waiting: int


class Outages(BaseModel):
    """Providers that do not answer."""

    down: list[Outage]


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"]
    executor: str


class Ready(BaseModel):
    """This server may be sent work."""

    status: Literal["ready"]
    executor: str
    running: int


class InvalidField(BaseModel):
    """A wrong field, by its path, and the reason."""

    field: str
    problem: str
