"""A recording of one saga as plain data in a format with a number, so that it is replayed where its database is not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from pydantic import JsonValue

from domain.amends.errors import AmendsError, Invalid
from domain.amends.event import Cause, EventType
from domain.amends.vocabulary import Unreadable
from workflows.amends.history import SagaEvent, Status, saga_histories
from workflows.amends.history.replay_state import Checkpoint, ReplayFold, ReplayState
from workflows.amends.ports.event_store import load_event_json
from workflows.amends.ports.execution_log import SagaIdentity
from workflows.amends.ports.recordings import Recording
from workflows.amends.values.codec import dump, json_text, load_input, parse_json
from workflows.amends.values.printable import error_message

FORMAT: Final = 1
"""The number of the format that is written here. One that is read otherwise has another number."""


class NoRecording(AmendsError):
    """{file} {problem}."""

    file: str
    problem: str


@dataclass(frozen=True)
class RecordedEvent:
    """An event of the saga's stream."""

    type: str
    version: int
    data: dict[str, JsonValue]


@dataclass(frozen=True)
class RecordedCheckpoint:
    """What came out of a step: its output, or its error as DBOS stores one."""

    step_id: int
    name: str
    output: JsonValue
    error: dict[str, JsonValue] | None
    started_at: datetime
    completed_at: datetime

    def checkpoint(self) -> Checkpoint:
        """The checkpoint as an execution reads it."""
        output = json_text(self.output) if self.error is None else None
        error = None if self.error is None else json_text(self.error)
        return Checkpoint(self.step_id, self.name, output, error, self.started_at, self.completed_at)

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> RecordedCheckpoint:
        error = None if checkpoint.error is None else parse_json(checkpoint.error)
        output = parse_json(checkpoint.output or "null")
        times = checkpoint.started_at, checkpoint.completed_at
        return cls(checkpoint.step_id, checkpoint.name, output, error, *times)


@dataclass(frozen=True)
class CompensatedInFork:
    """A step that another saga of the family of forks has compensated."""

    step: str
    occurrence: int


@dataclass(frozen=True)
class RecordedSaga:
    """What is recorded of a saga: its row, its input, its events and its checkpoints, oldest first."""

    format: int
    name: str
    version: int
    id: str
    root: str
    parent: str | None
    status: Status
    settled: bool
    takeovers: int
    provider: str | None
    started_at: datetime | None
    deadline_at: datetime | None
    input: JsonValue
    events: list[RecordedEvent]
    checkpoints: list[RecordedCheckpoint]
    compensated_in_forks: list[CompensatedInFork] = field(default_factory=list)

    @property
    def children(self) -> set[str]:
        """The ids of the sagas that it has started."""
        return {str(each.data["child"]) for each in self.events if "child" in each.data}

    def recording(self, file: str = "") -> Recording:
        """The recording as the execution would read it that takes the saga over; `file` is where it was read."""
        unreadable, replay = None, ReplayState()
        try:
            replay = self._replay_state()
        except Unreadable as error:
            unreadable = error_message(error)
        identity = SagaIdentity(self.id, self.root, Cause(workflow_id=self.id), self.parent)
        return Recording(
            self.name,
            self.version,
            identity,
            self.status,
            self.input,
            self.started_at,
            replay,
            unreadable,
            file,
        )

    def _replay_state(self) -> ReplayState:
        fold = ReplayFold()
        for number, each in enumerate(self.events):
            fold.add_events([(uuid5(NAMESPACE_URL, f"{self.id}/{number}"), saga_event_of(each))])
        fold.add_checkpoints(each.checkpoint() for each in self.checkpoints)
        for undone in self.compensated_in_forks:
            fold.add_compensation_of_fork(undone.step, undone.occurrence)
        return fold.state(
            self.status,
            self.takeovers,
            deadline_at=self.deadline_at,
            recovered=not self.settled,
            provider=self.provider,
        )

    def text(self) -> str:
        """The recording as the text of a file."""
        return f"{json.dumps(dump(self, RecordedSaga), indent=2, ensure_ascii=False)}\n"


def saga_event_of(event: RecordedEvent) -> SagaEvent:
    """The event itself, brought up to its newest version. Raises Unreadable."""
    return load_event_json(saga_histories.vocabulary, EventType(event.type, event.version), json_text(event.data))


def parse_recording(text: str | bytes, file: str) -> RecordedSaga:
    """The recording in a file. Raises NoRecording with what is wrong with the file, and what to do."""
    try:
        data: Any = parse_json(text)
    except ValueError as error:
        raise NoRecording(file, f"is no JSON: {error_message(error)}; export it anew, or delete it") from None
    except RecursionError:
        raise NoRecording(file, "is no recording: it is nested too deeply; export it anew, or delete it") from None
    if not isinstance(data, Mapping) or not isinstance(data.get("format"), int):
        raise NoRecording(file, 'is no recording: it has no number under "format"; export it anew, or delete it')
    if data["format"] != FORMAT:
        problem = f"has format {data['format']}, and this version of Amends reads format {FORMAT}; export it anew"
        raise NoRecording(file, problem)
    try:
        return load_input(data, RecordedSaga)
    except Invalid as wrong:
        raise NoRecording(file, f"is no recording: {wrong}; export it anew, or delete it") from None
