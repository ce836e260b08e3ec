"""Carries out the operations of a seed on both stores, or of one seed after the other until they differ.

python -m tests.amends.contracts.projections 4711
python -m tests.amends.contracts.projections --minutes 30
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from random import randrange

from tests.amends.contracts.projections.history import Difference, Outcomes, require_same
from tests.amends.contracts.projections.sides import postgres
from tests.amends.contracts.projections.test_differential import LENGTH
from tests.amends.harness.databases import fresh_database, make_cluster, memory


async def main(arguments: argparse.Namespace) -> int:
    outcomes, until = Outcomes(), time.monotonic() + arguments.minutes * 60
    for cluster in make_cluster(within=memory()):
        async with postgres(fresh_database(cluster)) as side:
            seed = randrange(10**9) if arguments.seed is None else arguments.seed
            try:
                while True:
                    await require_same(side, seed, arguments.length, outcomes)
                    if time.monotonic() > until:
                        break
                    seed += 1
            except Difference as found:
                print(found)
                return 1
    for (name, outcome), times in sorted(outcomes.seen.items()):
        print(f"{name:14} {outcome:20} {times}")
    print(f"No difference up to seed {seed}. Never succeeded: {', '.join(outcomes.missing()) or 'nothing'}")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seed", type=int, nargs="?")
    parser.add_argument("--length", type=int, default=LENGTH, help="how many operations a seed has")
    parser.add_argument("--minutes", type=float, default=0.0, help="go on with the next seeds for so long")
    sys.exit(asyncio.run(main(parser.parse_args())))
