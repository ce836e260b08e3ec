"""What a brake holds: any subset of type, version, step and provider."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.amends.errors import Invalid
from workflows.amends.brakes.brake import Brake, BrakePoint, BrakeScope, require_sound_brake

POINT = BrakePoint("place-order", 2, "charge", None, "payments")
FIELDS = {"name": "place-order", "version": 2, "step": "charge", "provider": "payments"}
OTHERS: dict[str, Any] = {"name": "book-trip", "version": 1, "step": "ship", "provider": "stock"}


def brake(scope: BrakeScope, compensations: bool = False) -> Brake:
    return Brake("b-1", scope, "queue", compensations, "why", "ann", datetime.now(UTC))


@given(st.sets(st.sampled_from(sorted(FIELDS)), min_size=1), st.none() | st.sampled_from(sorted(FIELDS)))
def test_any_subset_holds_what_meets_all_of_it(named: set[str], differs: str | None) -> None:
    scope = BrakeScope(**{field: FIELDS[field] for field in named})  # type: ignore[arg-type]
    point = replace(POINT, **{differs: OTHERS[differs]}) if differs else POINT
    assert brake(scope).holds(point) == (differs not in named)


def test_who_is_called_is_not_known_before_the_call() -> None:
    before = replace(POINT, provider=None)
    assert not brake(BrakeScope(provider="payments")).holds(before)
    assert brake(BrakeScope(step="charge")).holds(before)


@pytest.mark.parametrize("step", ["charge", "refund"])
def test_a_compensation_is_held_only_if_the_brake_says_so(step: str) -> None:
    point = replace(POINT, compensation="refund")
    assert not brake(BrakeScope(step=step)).holds(point)
    assert brake(BrakeScope(step=step), compensations=True).holds(point)
    assert not brake(BrakeScope(step="release"), compensations=True).holds(point)


@pytest.mark.parametrize("scope", [BrakeScope(step="charge"), BrakeScope("place-order", None, None, "payments")])
def test_starts_are_refused_only_where_they_are_held(scope: BrakeScope) -> None:
    require_sound_brake(scope, "queue")
    with pytest.raises(Invalid, match="starts"):
        require_sound_brake(scope, "refuse")
    require_sound_brake(BrakeScope("place-order", 2), "refuse")


def test_a_scope_names_something() -> None:
    with pytest.raises(Invalid, match="names nothing"):
        require_sound_brake(BrakeScope(), "queue")
