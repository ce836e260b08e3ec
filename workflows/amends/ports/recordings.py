"""Recordings of sagas that are not finished, as a check of new code reads them: page by page, in the order of ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from pydantic import JsonValue

from workflows.amends.history import Status
from workflows.amends.history.replay_state import ReplayState
from workflows.amends.ports.execution_log import SagaIdentity

UNFINISHED: Final[tuple[Status, ...]] = ("queued", "running", "waiting", "compensating", "stuck", "stranded")
"""The statuses of sagas that some code has to go on with."""


@dataclass(frozen=True)
class Recording:
    """What is recorded of a saga, as the execution that takes it over would read it, and its input as plain data.

    `unreadable` says why its history cannot be read by the code here, None if it can; `replay` is empty then. `file` is
    the file that it was read from, if it was.
    """

    name: str
    version: int
    identity: SagaIdentity
    status: Status
    given: JsonValue
    started_at: datetime | None
    replay: ReplayState
    unreadable: str | None = None
    file: str = ""

    @property
    def id(self) -> str:
        return self.identity.id

    @property
    def place(self) -> str:
        """Where it is found again: its file, or else its id."""
        return self.file or self.id


class Recordings(Protocol):
    """Where recordings are read from; nothing is written there."""

    async def page(self, after: str) -> Sequence[Recording]:
        """The next recordings after the one at this place, an empty text for the first ones; none at the end."""
        ...
