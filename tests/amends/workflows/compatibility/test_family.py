"""Loops, timers, children and sagas that are stuck: what a check says of them is what happens after the deploy."""

from __future__ import annotations

import pytest

from tests.amends.workflows.compatibility.families import CHANGES, changed, verdicts

FINDS: dict[str, set[str]] = {
    "nothing": {"fits"},
    "another duration": {"fits"},
}
"""What a check finds if not some instances that go on and some that are stranded."""


@pytest.mark.parametrize("change", CHANGES)
async def test_the_verdict_on_a_family_is_what_happens(change: str) -> None:
    outcomes = {each.outcome for each in await verdicts(changed(change))}
    assert outcomes == (FINDS.get(change) or {"fits", "stranded"})
