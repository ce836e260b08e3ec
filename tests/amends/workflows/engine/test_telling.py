"""What a saga's events add up to for a person who reads it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from functools import reduce
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from workflows.amends.history import (
    CancelLost,
    CancelRequested,
    ChildCompensationRequested,
    ChildStarted,
    EventLoopBlocked,
    OperatorActed,
    OperatorResumed,
    SagaCompensated,
    SagaCompensating,
    SagaCompleted,
    SagaIncompatible,
    SagaResumed,
    SagaStarted,
    SagaState,
    SagaStuck,
    SagaTerminated,
    SagaWaiting,
    SignalReceived,
    StepCompleted,
    StepFailed,
    StepRefused,
    StepRetrying,
    StepSkipped,
    StepWaiting,
    WaitEnded,
    saga_histories,
)
from workflows.amends.history.events import CompensationFailed, CompensationWaiting, StepCompensated
from workflows.amends.history.histories import evolve, state_of
from workflows.amends.history.saga_event import SagaEvent
from workflows.amends.history.state import StepState
from workflows.amends.history.stored_error import Problem

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAILED = CompensationFailed("charge", 1, "refund", 5, 1, Problem("Failed", "the bank sleeps", {}), NOW)
REFUNDED = StepCompensated("charge", 1, "refund", 5, 2)


def steps(*told: SagaEvent) -> tuple[StepState, ...]:
    return state_of([(NOW, each) for each in told]).steps


def test_a_step_without_a_record_is_told_as_soon_as_it_is_undone() -> None:
    (step,) = steps(FAILED)
    assert (step.name, step.status, step.attempts, step.started_at) == ("charge", "unknown", 0, None)
    assert step.compensation is not None
    assert step.compensation.status == "retrying"
    (step,) = steps(FAILED, REFUNDED)
    assert (step.status, step.compensation and step.compensation.status) == ("compensated", "completed")


# -- however many events there are

STEPS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "step": st.sampled_from(["hold", "charge"]),
        "occurrence": st.integers(1, 2),
        "kind": st.just("step"),
        "slot": st.integers(1, 6),
        "arguments": st.just(""),
        "started_at": st.just(NOW),
    }
)
UNDONE: st.SearchStrategy[dict[str, Any]] = STEPS.map(
    lambda step: {name: step[name] for name in ("step", "occurrence", "slot")}
)
NOT_UNDONE: dict[str, Any] = {"compensation": "undo", "attempts": 1, "error": FAILED.error, "next_at": None}
AWAITED: dict[str, Any] = {"provider": "stock", "error": Problem("ProviderDown", "down"), "since": NOW, "until": NOW}
FACTS: st.SearchStrategy[SagaEvent] = st.one_of(
    STEPS.map(lambda step: StepCompleted(**step, attempts=1, result=1)),
    STEPS.map(lambda step: StepRefused(**step, attempts=1, error=Problem("NoMoney", "no money"))),
    STEPS.map(lambda step: StepRetrying(**step, attempts=2, error=Problem("Failed", "no"), next_at=NOW)),
    STEPS.map(lambda step: StepWaiting(**step, attempts=0, **AWAITED, sent=False)),
    UNDONE.map(lambda step: CompensationWaiting(**step, compensation="undo", attempts=0, **AWAITED)),
    STEPS.map(lambda step: StepFailed(**step, attempts=3, error=Problem("Failed", "no"))),
    STEPS.map(lambda step: StepSkipped(**step, reason="by hand")),
    STEPS.map(lambda step: ChildStarted(**step, child="c")),
    UNDONE.map(
        lambda step: CompensationFailed(**step, compensation="undo", attempts=1, error=FAILED.error, next_at=None)
    ),
    st.builds(
        lambda step, by: StepCompensated(**step, compensation="undo", attempts=1, by=by),
        UNDONE,
        st.sampled_from(["compensation", "skip", "resolve"]),
    ),
    st.builds(
        lambda step, by: SagaStuck("why", **step, compensation=by, error=FAILED.error),
        UNDONE,
        st.sampled_from([None, "undo"]),
    ),
    st.sampled_from(
        [
            SagaStarted("s", 1, "r", "i", {"a": 1}),
            SagaStuck("why", 3),
            SagaWaiting(2, "paid", NOW),
            WaitEnded(2, "paid", "time"),
            SignalReceived("paid", 1),
            SagaCompensating("no", FAILED.error),
            OperatorActed("retry", "now", 3),
            OperatorResumed("go"),
            SagaResumed(),
            SagaIncompatible("no code"),
            SagaTerminated("cancelled"),
            SagaCompleted(3),
            SagaCompensated("no"),
            CancelRequested("no"),
            CancelLost("late"),
            ChildCompensationRequested(1, "c", "no"),
            EventLoopBlocked("hold", 6.0, "e", ""),
        ]
    ),
)


@given(st.lists(FACTS, max_size=12), st.integers(0, 12))
def test_many_events_tell_the_same_at_once_as_one_after_the_other(facts: list[SagaEvent], cut: int) -> None:
    one_by_one = reduce(evolve, facts, SagaState())
    assert saga_histories.fold(facts) == one_by_one
    assert saga_histories.fold(facts[cut:], saga_histories.fold(facts[:cut])) == one_by_one


def calls_to_tell(count: int) -> int:
    """How many functions are called to tell so many steps, the later ones undone."""
    done: list[SagaEvent] = [
        StepCompleted("charge", number, "step", number, "", NOW, 1, None) for number in range(1, count + 1)
    ]
    undone = [StepCompensated("charge", number, "refund", count + number, 1) for number in range(count // 2, count)]
    facts: list[tuple[datetime, SagaEvent]] = [(NOW, fact) for fact in (*done, *undone)]
    calls = 0

    def count_calls(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count_calls)
    try:
        state_of(facts)
    finally:
        sys.setprofile(None)
    return calls


def test_a_long_story_costs_as_much_for_each_step_as_a_short_one() -> None:
    assert calls_to_tell(2000) < 10.5 * calls_to_tell(200)
