"""Writes a saga's history: the events of every commit get their ids, their stream and their cause here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from domain.amends.errors import AmendsError, Refusal
from domain.amends.event import Cause
from workflows.amends.history import Problem, SagaResumed, saga_histories
from workflows.amends.history.problem import portable_error, problem_of, refusal_problem
from workflows.amends.history.replay_state import Checkpoint
from workflows.amends.ports.event_store import NewEvent, new_amends_event, new_business_event
from workflows.amends.ports.execution_log import (
    CompensateChild,
    ExecutionLog,
    StartRequest,
    StatusChange,
    StepCommit,
    StreamMoved,
)
from workflows.amends.redaction.sensitive import without_values
from workflows.amends.values.codec import json_text
from workflows.amends.values.printable import error_message, error_repr, one_line

TURN_BACK = "turn-back"
"""The name of the checkpoint from which on a saga only compensates."""


class HistoryWriter:
    """The history that one execution of a saga adds to."""

    def __init__(self, execution_log: ExecutionLog) -> None:
        self.execution_log = execution_log
        self.current = execution_log.replay
        """What is on record, with what others have added, as far as this execution has read it."""
        self.completed_at, self._passed = execution_log.replay.started_at or execution_log.now(), False
        self.hidden: tuple[str, ...] = ()
        self.version, self.rereads = execution_log.replay.version, 0
        """How far this execution knows the history, and how often it has read again what is on record."""
        self.compensating = False
        """Whether this execution has started the compensation."""
        self._last: UUID | None = execution_log.replay.last_event
        self._stand = frozenset({self._last} if self._last else ())
        self._revive = execution_log.replay.status in ("stranded", "stuck", "abandoned")
        self._waited = execution_log.replay.provider is not None

    @property
    def stream(self) -> str:
        """The saga's own stream; `version` is how far this execution knows it."""
        return saga_histories.stream(self.execution_log.identity.id)

    def hide_values(self, values: Iterable[str]) -> None:
        """More values that must not be shown: what others say of them is masked from now on, the longest first."""
        if new := set(values).difference(self.hidden):
            self.hidden = tuple(sorted({*self.hidden, *new}, key=len, reverse=True))

    def stored_problem(self, error: BaseException) -> Problem:
        """An error as it is stored and logged: without the values that must not be shown, and as text can be stored."""
        found = problem_of(error)
        return Problem(found.name, self.without_hidden(found.message), without_values(found.facts, self.hidden))

    def stored_refusal(self, refusal: Refusal) -> Problem:
        """A refusal as it is stored, whole: it comes back from its facts. Raises Unstorable or TooLarge."""
        found = refusal_problem(refusal, self.execution_log.limits.value)
        return Problem(found.name, self.without_hidden(found.message), found.facts)

    def bug_text(self, error: BaseException) -> str:
        """An error that is a bug, in one line."""
        text = error_message(error) if isinstance(error, AmendsError) else error_repr(error)
        return self.without_hidden(one_line(text))

    def without_hidden(self, said: str) -> str:
        """A text without the values that must not be shown."""
        shown: str = without_values(said, self.hidden)
        return shown

    def saga_event(self, stream: str, event: object, step: str | None = None) -> NewEvent:
        """An event of this saga's own history, with the cause that it has now: its values were redacted before."""
        return new_amends_event(stream, event, replace(self.cause(), step=step))

    def business_event(self, stream: str, event: object, step: str, decision: str | None = None) -> NewEvent:
        """An event of the business. Raises TooLarge and Unstorable."""
        cause = replace(self.cause(), step=step, decision=decision)
        return new_business_event(stream, event, cause, limit=self.execution_log.limits.value)

    def cause(self) -> Cause:
        """The cause of what this saga does from here on: the last event of its history."""
        return replace(self.execution_log.identity.cause, causation_id=str(self._last) if self._last else None)

    def step_commit(
        self,
        *happened: object,
        step: str | None = None,
        business: Sequence[NewEvent] = (),
        expected: Mapping[str, int] | None = None,
        checkpoint: Checkpoint | None = None,
        change: StatusChange | None = None,
        suspend: bool = False,
        start: StartRequest | None = None,
        recall: CompensateChild | None = None,
        settled: bool = False,
    ) -> StepCommit:
        """One commit's content: events of the saga's history, and events of the business."""
        if self._revive:
            happened = (SagaResumed(), *happened)
        if self._revive or self._waited:
            change = change or self.active_status()
        events = [*(self.saga_event(self.stream, event, step) for event in happened), *business]
        return StepCommit(events, expected or {}, checkpoint, change, suspend, start, recall, settled, self._stand)

    def active_status(self) -> StatusChange:
        """The status of a saga that goes on, forwards or in its compensation."""
        back = any(checkpoint.name == TURN_BACK for checkpoint in self.execution_log.replay.checkpoints.values())
        return StatusChange("compensating" if back or self.compensating else "running")

    async def write(self, step_commit: StepCommit) -> None:
        """Commit without an expected version of any stream."""
        rereads = self.rereads
        await self.execution_log.commit(step_commit)
        self.note_written(step_commit, rereads)

    async def write_current(self, decide: Callable[[], Awaitable[StepCommit | None]]) -> StepCommit | None:
        """Commit what `decide` makes of all that is on record: it decides anew whenever others have added to that.

        Returns what was committed; None if it decided to commit nothing.
        """
        while step_commit := await decide():
            guarded = replace(step_commit, expected={**step_commit.expected, self.stream: self.version})
            rereads = self.rereads
            if not isinstance(await self.execution_log.commit(guarded), StreamMoved):
                self.note_written(guarded, rereads)
                return guarded
            await self.reread()
        return None

    def note_written(self, step_commit: StepCommit, rereads: int) -> None:
        """Take note that a commit stands: what comes next was caused by it. `rereads` is as it was when it was sent.

        One that was under way while another branch has read again may have been read by it: it is not counted then. So
        `version` may be too low, which the next guarded commit finds, and is never too high, which would hide what the
        saga was told.
        """
        if step_commit.events:
            self._last, self._revive = step_commit.events[0].id, False
            # Of steps at the same time nobody knows who came first: each commit takes the place of those it came after.
            self._stand = (self._stand - step_commit.after) | {self._last}
        if rereads == self.rereads:
            self.version += sum(event.stream == self.stream for event in step_commit.events)
        if step_commit.change:
            self._waited = False
        if step_commit.checkpoint:
            self.compensating = self.compensating or step_commit.checkpoint.name == TURN_BACK
            self.note_checkpoint(step_commit.checkpoint)

    async def reread(self) -> None:
        """Take note of what is recorded by now: others have added to it."""
        replay = await self.execution_log.reload_replay_state()
        if replay.version >= self.current.version:  # of two branches that read, the later answer may be the older one
            self.current = replay
        self.version, self.rereads = replay.version, self.rereads + 1
        if replay.last_event:
            self._stand |= {replay.last_event}

    def note_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Take note of a recorded step; of those that ran at the same time, the last one to be completed counts."""
        self.completed_at = max(self.completed_at, checkpoint.completed_at) if self._passed else checkpoint.completed_at
        self._passed = True

    def answered_checkpoint(self, step_id: int, name: str, started_at: datetime, result: object) -> Checkpoint:
        """The checkpoint of a step that was answered, with its result as plain data."""
        return Checkpoint(step_id, name, json_text(result), None, started_at, self.execution_log.now())

    def failed_checkpoint(self, step_id: int, name: str, started_at: datetime, problem: Problem) -> Checkpoint:
        """The checkpoint of a step that was refused or never answered."""
        return Checkpoint(step_id, name, None, portable_error(problem), started_at, self.execution_log.now())
