"""What a saga's event is: its class alone says what it changes, what is shown of it, and what of it is masked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Literal

from workflows.amends.history.replay_state import ReplayFold
from workflows.amends.history.row import SagaRow
from workflows.amends.history.state import StateFold
from workflows.amends.history.timeline_bar import TimelineBar


@dataclass(frozen=True)
class ValueTypeSource:
    """Where the type of a value in an event is known: in the definition of a saga, by default of the event's own.

    `name` is the step's, the signal's, or the id of the child whose end is told.
    """

    kind: Literal["input", "output", "result", "signal", "child"]
    name: str = ""
    saga: tuple[str, int] | None = None


class SagaEvent:
    """Something that happened to a saga.

    A new one is declared in one place: a subclass with `@event(name)` below workflows/amends/history/events. What it
    says by the methods below is all that the state, the next execution, the timeline and the masks know of it; one that
    changes the overview of all sagas is an OverviewEvent.
    """

    repeats_errors: ClassVar[bool] = True
    """Whether its `reason` may repeat what an error said: then it is shown without the values that are marked there."""

    found: ClassVar[Literal["down", "answered"] | None] = None
    """What the provider of its step was found to be by it, if a provider was asked at all."""

    def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
        """Change the state that the API shows; `at` is when it was recorded. By default nothing changes."""

    def apply_to_replay(self, replay: ReplayFold) -> None:
        """Add to the replay state what the next execution must know. By default that is nothing."""

    @classmethod
    def timeline_summary(cls, data: Mapping[str, Any], saga: str) -> str:
        """What a timeline tells of it; `data` is what may be shown of its fields, `saga` the saga's id."""
        return str(data.get("reason") or "")

    @classmethod
    def timeline_bar(cls, data: Mapping[str, Any]) -> TimelineBar | None:
        """What a timeline draws of it, if anything; `data` is what may be shown of its fields."""
        return None

    @classmethod
    def value_types(cls, data: Mapping[str, Any]) -> Mapping[str, ValueTypeSource]:
        """Which of its fields hold values whose types only a saga's definition knows. By default none does."""
        return {}


class OverviewEvent(SagaEvent):
    """A saga's event that changes the row of the saga in the overview: the read model follows these alone."""

    def overview_columns(self, row: SagaRow, at: datetime) -> Mapping[str, Any]:
        """The columns that change, beside `changed_at`; `at` is when it was recorded."""
        raise NotImplementedError

    def overview_row(self, row: SagaRow | None, id: str, at: datetime) -> SagaRow | None:
        """The row after this event; `row` is the one before, None where the saga has none."""
        return row and replace(row, changed_at=at, **self.overview_columns(row, at))


def failed_attempt_text(data: Mapping[str, Any], what: str) -> str:
    """What a timeline tells of an attempt that failed."""
    return f"{data[what]}, attempt {data['attempts']}: {shown_error_message(data)}"


def shown_error_message(data: Mapping[str, Any]) -> str:
    """What the error of an event says, as far as it may be shown."""
    said = data.get("error")
    return str(said.get("message", "")) if isinstance(said, Mapping) else ""
