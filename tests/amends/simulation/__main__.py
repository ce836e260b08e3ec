"""Plays histories: `./run simulate` many, until one fails; `./run simulate --seed N` one, and shows all of it."""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable

from tests.amends.simulation.histories import Ended, Plan, plan_of, play
from tests.amends.simulation.smaller import smallest
from workflows.amends.simulation.cluster.server.store import ClusterStore
from workflows.amends.simulation.cluster.virtual_time import Timeline


def main(stored: Callable[[Timeline], ClusterStore]) -> int:
    parser = argparse.ArgumentParser(prog="./run simulate", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this history, and show what happens")
    parser.add_argument("--first", type=int, default=0, help="the first seed of many")
    parser.add_argument("--minutes", type=float, default=1.0, help="for how long")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first history that fails")
    parser.add_argument("--whole", action="store_true", help="do not make a history smaller that fails")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if given.seed is not None:
        ended = play(plan_of(given.seed), stored, traced=True)
        print(*ended.notes, sep="\n")
        return shown(ended)
    return many(stored, given.first, given.minutes, given.keep_going, given.whole)


def many(stored: Callable[[Timeline], ClusterStore], seed: int, minutes: float, keep_going: bool, whole: bool) -> int:
    """Play one history after the other."""
    began, first, failed = time.process_time(), seed, 0
    while (took := time.process_time() - began) < minutes * 60:
        ended = play(plan_of(seed), stored)
        if ended.problems:
            failed += 1
            shown(ended)
            if not whole:
                show_smallest(ended.plan, stored)
            if not keep_going:
                return 1
        seed += 1
    print(f"{seed - first} histories, {failed} failed; {(seed - first) / took * 60:.0f} in a minute of one core")
    return int(failed > 0)


def shown(ended: Ended) -> int:
    """Say what is wrong with a history, and how it is played again."""
    for problem in ended.problems:
        print(f"seed {ended.plan.seed}: {problem}")
    if ended.problems:
        print(f"play it again: ./run simulate --seed {ended.plan.seed}")
    return int(bool(ended.problems))


def show_smallest(plan: Plan, stored: Callable[[Timeline], ClusterStore]) -> None:
    ended = smallest(plan, stored)
    print("\nthe smallest history that fails so:", ended.plan, *ended.notes, *ended.problems, sep="\n")


if __name__ == "__main__":
    from workflows.amends.simulation.cluster.server.store import memory_store

    raise SystemExit(main(memory_store))
