"""What people did with the read models, as events: who rebuilt, promoted, dropped, retried and skipped, and why."""

from __future__ import annotations

from domain.amends.event import event


def read_model_stream(projection: str) -> str:
    """The stream of a read model's own history."""
    return f"projection-{projection}"


@event("build-begun")
class BuildStarted:
    """A table is built beside the live one."""

    projection: str
    build: int
    version: int


@event("build-promoted")
class BuildPromoted:
    """The view shows this table from now on."""

    projection: str
    build: int
    version: int


@event("build-dropped")
class BuildDropped:
    projection: str
    build: int
    version: int


@event("set-aside-retried")
class DeadLetterRetried:
    """An event that could not be applied, and those behind it, were to be applied once more."""

    projection: str
    build: int
    key: str
    event_id: str
    error: str
    reason: str


@event("set-aside-skipped")
class DeadLetterSkipped:
    """An event that could not be applied was left out."""

    projection: str
    build: int
    key: str
    event_id: str
    error: str
    reason: str
