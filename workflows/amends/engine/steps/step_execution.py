"""A step that was started: in this execution of the saga or in an earlier one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import JsonValue

from workflows.amends.call import Done, OutcomeUnknown
from workflows.amends.definition import StepSpec
from workflows.amends.redaction.sensitive import hidden_values, marked_shape
from workflows.amends.step import StepCall
from workflows.amends.values.codec import copy_json, load_copy, require_exact
from workflows.amends.values.whole import load_whole

T = TypeVar("T")


@dataclass
class StepExecution:
    """`outcome` stays None for a step that has not happened: it was refused, or is under way.

    Its arguments and its result are plain JSON data: whoever needs them is given values of their own, so that nobody
    sees what another one has changed. `doubtful` says that an earlier execution may have begun it and left no record,
    `settled` that its outcome is recorded.
    """

    call: StepCall[Any]
    step_id: int
    occurrence: int
    redo: int
    key: str
    started_at: datetime
    doubtful: bool = False
    outcome: Done[JsonValue] | OutcomeUnknown | None = None
    in_doubt: bool = False
    settled: bool = False
    _used: bool = False

    @property
    def step(self) -> StepSpec:
        return self.call.step

    @property
    def digest(self) -> str:
        """A fingerprint of its arguments."""
        return self.call.digest

    def arguments(self) -> tuple[Any, ...]:
        """Its arguments, as new values."""
        if not self._used:
            self._used = True
            first: tuple[Any, ...] = self.call.stored_arguments
            return first
        again: tuple[Any, ...] = load_copy(self.call.given, self.call.declared.arguments_type)
        return again

    def hidden_values(self) -> Iterator[str]:
        """What of its arguments must not be shown."""
        return hidden_values(self.call.given, marked_shape(self.call.declared.arguments_type))

    def result(self, plain: JsonValue) -> Any:
        """A result of it, as a new value. Raises ValidationError if it does not fit its type, or says more."""
        return load_whole(copy_json(plain), self.call.declared.result)

    def require_result(self, given: JsonValue) -> None:
        """Refuse a result of an operator's that does not fit its type, or not exactly. Raises ValidationError."""
        require_exact(given, self.call.declared.result)
        self.result(given)

    def known_outcome(self) -> Done[Any] | OutcomeUnknown:
        """The outcome as a compensation is given it."""
        return Done(self.result(self.outcome.value)) if isinstance(self.outcome, Done) else OutcomeUnknown()

    def step_event(self, event: Callable[..., T], **facts: Any) -> T:
        """An event about this step, with the fields of all such events."""
        return event(
            step=self.step.name,
            occurrence=self.occurrence,
            kind=self.step.kind,
            slot=self.step_id,
            arguments=self.digest,
            started_at=self.started_at,
            **facts,
        )
