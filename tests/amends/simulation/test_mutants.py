"""What is wrong with the engine, or with its store, is found by random histories within a minute."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.amends.simulation.histories import plan_of, play
from tests.amends.simulation.mutants import OF_BRAKES, OF_THE_ENGINE, OF_THE_STORE, Patch
from workflows.amends.simulation.cluster.faults import BrakeHold
from workflows.amends.simulation.cluster.server.store import ClusterStore, VirtualClock, memory_store
from workflows.amends.simulation.cluster.virtual_time import Timeline
from workflows.amends.simulation.memory.sagas import MemorySagas

pytestmark = pytest.mark.slow
SECONDS = 60.0
"""Of one core."""


def is_found(stored: Callable[[Timeline], ClusterStore], brakes: bool) -> bool:
    """Whether it is; what concerns `brakes` alone is looked for in histories that have some."""
    began, seed = time.process_time(), 0
    while time.process_time() - began < SECONDS:
        plan = plan_of(seed)
        concerned = not brakes or any(isinstance(fault, BrakeHold) for fault in plan.faults.events)
        if concerned and play(plan, stored).problems:
            return True
        seed += 1
    return False


@pytest.mark.parametrize("mutant", OF_THE_STORE, ids=lambda each: each.__name__)
def test_what_is_wrong_with_a_store_is_found(mutant: type[MemorySagas]) -> None:
    assert {name for name in vars(mutant) if not name.startswith("_")} <= {*dir(MemorySagas)}, "it replaces something"
    assert is_found(lambda timeline: mutant(VirtualClock(timeline)), mutant in OF_BRAKES)


@pytest.mark.parametrize("mutant", OF_THE_ENGINE, ids=lambda each: each.__name__)
def test_what_is_wrong_with_the_engine_is_found(mutant: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    assert is_found(memory_store, mutant in OF_BRAKES)
