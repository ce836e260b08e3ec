"""One history: everything that happens in it comes from its seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from tests.amends.simulation.effects import problems_of_effects, problems_of_signals
from tests.amends.simulation.journeys import JOURNEYS, Bugs, Poke
from tests.amends.simulation.programs import Author
from tests.amends.simulation.providers import PROVIDERS, Books, Provider
from workflows.amends.executor.engine import Options
from workflows.amends.history import OperatorAction, SagaStuck
from workflows.amends.saga import Saga
from workflows.amends.simulation.cluster.clients import Action, SignalAction
from workflows.amends.simulation.cluster.cluster import Cluster, ServerGateways
from workflows.amends.simulation.cluster.dice import seeded_randomness
from workflows.amends.simulation.cluster.faults import CommitLoss, Faults, draw_faults
from workflows.amends.simulation.cluster.invariants import brake_problems, record_problems
from workflows.amends.simulation.cluster.operators import Operators
from workflows.amends.simulation.cluster.server.store import ClusterStore
from workflows.amends.simulation.cluster.virtual_time import Timeline
from workflows.amends.values.limits import Limits

NAMES: Final = tuple(f"provider {number}" for number in range(PROVIDERS))
STEPS: Final = ("call", "notify", "decide", "note", "errand", "commit_to")
"""Steps that a brake may hold."""
BALKS: Final = (0, 0, 0, 0, 0, 1, 7)
BETWEEN_SECONDS: Final = 2.0
BOUND_SECONDS: Final = 180.0
"""Within so many seconds after the last fault all sagas have come to their end."""


@dataclass(frozen=True)
class Plan:
    """What happens in a history: its faults, and what clients do. All else is drawn from the seed as it goes on."""

    seed: int
    faults: Faults
    actions: tuple[Action, ...]
    options: Options
    pace: float
    stubborn: int = 0
    balks: int = 0


@dataclass
class Ended:
    """How a history ended: `problems` is empty if all is well."""

    plan: Plan
    problems: list[str]
    seconds: float
    commits: int
    notes: list[str] = field(default_factory=list)
    """What happened, in words, if it was traced."""


def plan_of(seed: int) -> Plan:
    """The plan that a seed stands for."""
    dice = Random(seed)
    faults = draw_faults(dice, NAMES, ("journey", "mission", "dash", "errand"), True, STEPS)
    actions = tuple(Author(dice).actions(faults.over))
    limits = Limits(between=BETWEEN_SECONDS, provider=dice.choice((1.0, 1000.0)))
    options = Options(dice.choice((1.0, 2.0)), dice.choice((1, 2, 1000)), limits)
    pace, stubborn, balks = dice.choice((0.0, 0.02, 0.4, 1.0)), dice.choice((0, 0, 0, 1, 8)), dice.choice(BALKS)
    return Plan(seed, faults, actions, options, pace, stubborn, balks)


def play(plan: Plan, stored: Callable[[Timeline], ClusterStore], traced: bool = False) -> Ended:
    """Let it happen, and look at what came of it."""
    with seeded_randomness(plan.seed):
        return _played(plan, stored, traced)


def _played(plan: Plan, stored: Callable[[Timeline], ClusterStore], traced: bool) -> Ended:
    books, bugs = Books(), Bugs()
    providers = [
        Provider(number, books, plan.pace, Random(f"{plan.seed} {number}"), plan.stubborn, plan.balks)
        for number in range(PROVIDERS)
    ]

    def make(reached: ServerGateways) -> Sequence[Saga[Any, Any]]:
        gateways = tuple(reached.to(each, NAMES[each.number], each.number > 0) for each in providers)
        return [cls(gateways, bugs) for cls in JOURNEYS]

    cluster = Cluster(plan.seed, plan.faults, plan.actions, stored, make, plan.options, traced)
    decisions = Random(f"{plan.seed} decisions")
    operators = Operators(cluster, Random(f"{plan.seed} operators"), lambda *asked: _decide(decisions, *asked), Poke)
    operators.start()
    problems: list[str] = []
    try:
        cluster.run(lambda: cluster.all_is_done, BOUND_SECONDS)
        cluster.end(10.0)
        problems += record_problems(cluster.store)
        if not any(isinstance(fault, CommitLoss) for fault in plan.faults.events):
            sent = [action for action in plan.actions if isinstance(action, SignalAction)]
            problems += cluster.problems()
            problems += brake_problems(cluster.store)
            problems += problems_of_effects(cluster.store, books, operators)
            problems += problems_of_signals(cluster.store, cluster.clients, sent, operators)
    finally:
        cluster.dispose()
    return Ended(plan, problems, cluster.timeline.now, cluster.watch.commits, cluster.watch.notes or [])


def _decide(dice: Random, stuck: SagaStuck, action: OperatorAction) -> tuple[OperatorAction, Any]:
    """A decision with a result that the step, or the saga, may have, or, by mistake, one that the step may not have."""
    if action == "retry" or stuck.compensation:
        return action, None
    if stuck.step and dice.random() < 0.1:
        return action, 17
    if stuck.step in ("notify", "decide", "note"):
        return action, None
    return action, "decided" if stuck.step in ("call", "commit_to") else {"keys": [], "heard": []}
