"""What a saga's events add up to for a person who reads it."""

from __future__ import annotations

from datetime import UTC, datetime

from workflows.story.facts import CompensationFailed, Problem, StepCompensated, Told
from workflows.story.telling import StepTold, tell

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAILED = CompensationFailed("charge", 1, "refund", 5, 1, Problem("Failed", "the bank sleeps", {}), NOW)
REFUNDED = StepCompensated("charge", 1, "refund", 5, 2)


def steps(*told: Told) -> tuple[StepTold, ...]:
    return tell([(NOW, each) for each in told]).steps


def test_a_step_without_a_record_is_told_as_soon_as_it_is_undone() -> None:
    (step,) = steps(FAILED)
    assert (step.name, step.status, step.attempts, step.started_at) == ("charge", "unknown", 0, None)
    assert step.compensation is not None
    assert step.compensation.status == "retrying"
    (step,) = steps(FAILED, REFUNDED)
    assert (step.status, step.compensation and step.compensation.status) == ("compensated", "completed")
