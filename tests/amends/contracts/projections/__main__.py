"""Carries out the operations of a seed on both stores, or of one seed after the other until they differ.

python -m tests.amends.contracts.projections 4711
python -m tests.amends.contracts.projections --minutes 30
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from sqlalchemy import URL

from tests.amends.contracts.differential.seeds import compare_in_new_cluster, compare_seeds, seed_parser
from tests.amends.contracts.projections.history import Difference, Outcomes, require_same
from tests.amends.contracts.projections.sides import postgres
from tests.amends.contracts.projections.test_differential import LENGTH


async def main(arguments: argparse.Namespace) -> int:
    outcomes = Outcomes()

    async def compare(url: URL) -> int:
        async with postgres(url) as side:

            async def both(seed: int) -> None:
                await require_same(side, seed, arguments.length, outcomes)

            return await compare_seeds(both, arguments.seed, arguments.minutes * 60)

    def summary() -> str:
        seen = (f"\n{name:14} {outcome:20} {times}" for (name, outcome), times in sorted(outcomes.seen.items()))
        return f"Never succeeded: {', '.join(outcomes.missing()) or 'nothing'}{''.join(seen)}"

    return await compare_in_new_cluster(compare, Difference, summary)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(seed_parser(__doc__, LENGTH).parse_args())))
