"""A step that was started: in this life of the saga or in an earlier one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from workflows.definition import DeclaredStep
from workflows.saga import Done, Unknown
from workflows.steps import StepSpec

T = TypeVar("T")


@dataclass
class Begun:
    """`outcome` stays None for a step that has not happened: it was refused, or is under way.

    `doubtful` says that an earlier life may have begun it and left no record, `settled` that its outcome is recorded.
    """

    declared: DeclaredStep
    slot: int
    occurrence: int
    redo: int
    arguments: tuple[Any, ...]
    digest: str
    key: str
    started_at: datetime
    doubtful: bool = False
    outcome: Done[Any] | Unknown | None = None
    in_doubt: bool = False
    settled: bool = False

    @property
    def step(self) -> StepSpec:
        return self.declared.step

    def told(self, event: Callable[..., T], **facts: Any) -> T:
        """An event about this step, with what all such events say."""
        return event(
            step=self.step.name,
            occurrence=self.occurrence,
            kind=self.step.kind,
            slot=self.slot,
            arguments=self.digest,
            started_at=self.started_at,
            **facts,
        )
