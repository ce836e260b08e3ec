"""A plan that fails, made smaller; see workflows.amends.simulation.cluster.shrinking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.amends.simulation.histories import Ended, Plan, play
from tests.amends.simulation.journeys import Part, Program
from workflows.amends.executor.engine import Options
from workflows.amends.simulation.cluster.clients import StartAction
from workflows.amends.simulation.cluster.server.store import ClusterStore
from workflows.amends.simulation.cluster.shrinking import shrink, smaller_actions, smaller_faults
from workflows.amends.simulation.cluster.virtual_time import Timeline

SEEDS = 3
"""What is left out changes what is drawn: a smaller plan is tried with so many seeds."""


def smallest(plan: Plan, stored: Callable[[Timeline], ClusterStore]) -> Ended:
    """The smallest plan that is found to fail, and how it ends."""
    seeds: dict[int, int] = {}

    def fails(smaller: Plan) -> bool:
        for seed in range(smaller.seed, smaller.seed + SEEDS):
            if play(replace(smaller, seed=seed), stored).problems:
                seeds[id(smaller)] = seed
                return True
        return False

    def again(least: Plan) -> Iterator[Plan]:
        return _smaller(replace(least, seed=seeds.get(id(least), least.seed)))

    least = shrink(plan, again, fails)
    return play(replace(least, seed=seeds.get(id(least), least.seed)), stored, traced=True)


def _smaller(plan: Plan) -> Iterator[Plan]:
    yield from (replace(plan, actions=actions) for actions in smaller_actions(plan.actions))
    yield from (replace(plan, faults=faults) for faults in smaller_faults(plan.faults))
    if plan.pace:
        yield replace(plan, pace=0.0)
    if plan.stubborn:
        yield replace(plan, stubborn=0)
    if plan.options.running < 1000:
        yield replace(plan, options=Options(lease=plan.options.lease))
    for number, action in enumerate(plan.actions):
        if isinstance(action, StartAction):
            for parts in _fewer(action.request.parts):
                start = replace(action, request=Program(action.id, parts))
                yield replace(plan, actions=(*plan.actions[:number], start, *plan.actions[number + 1 :]))


def _fewer(parts: tuple[Part, ...]) -> Iterator[tuple[Part, ...]]:
    for number in range(len(parts)):
        yield parts[:number] + parts[number + 1 :]
    for number, part in enumerate(parts):
        if part.does not in ("either",) and part.parts:
            for inner in _fewer(part.parts):
                if inner:
                    yield (*parts[:number], replace(part, parts=inner), *parts[number + 1 :])
