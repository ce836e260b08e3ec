"""Random histories of whole clusters: whatever goes wrong, nothing is done twice and nothing is forgotten."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.amends.harness import ROOT
from tests.amends.simulation.histories import Plan, plan_of, play
from tests.amends.simulation.smaller import smallest
from workflows.amends.simulation.cluster.server.store import memory_store

SECONDS = 45
"""How long it takes in `./run test`, of one core."""
HOURS = float(os.environ.get("AMENDS_SIMULATION_HOURS", "2"))


def report(plan: Plan) -> str:
    """A history that fails, and the smallest one that fails so."""
    least = smallest(plan, memory_store)
    shown = "\n".join((f"{least.plan}", *least.notes, *least.problems))
    return f"play it again: ./run simulate --seed {plan.seed}\n{shown}"


def all_is_well(seconds: float, first: int) -> int:
    """Play as many histories as fit into so much time of one core; how many that were."""
    began, seed = time.process_time(), first
    while time.process_time() - began < seconds:
        ended = play(plan_of(seed), memory_store)
        assert not ended.problems, report(ended.plan)
        seed += 1
    return seed - first


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_is_done_twice_and_nothing_is_forgotten() -> None:
    assert all_is_well(SECONDS, first=0) > 100


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_hours_of_histories() -> None:
    assert all_is_well(HOURS * 3600, first=int(time.time()) * 1000) > 10_000


def test_a_seed_is_one_history_in_every_process() -> None:
    code = (
        "import logging; logging.disable(50); from tests.amends.simulation.test_histories import *\n"
        "print([play(plan_of(seed), memory_store, traced=True).notes for seed in range(12)])"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1
