"""Carries out the operations of a seed on both stores, or of one seed after the other until they differ.

python -m tests.amends.contracts.differential 4711
python -m tests.amends.contracts.differential 4711 --only 3,17,20
python -m tests.amends.contracts.differential --minutes 30
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from sqlalchemy import URL

from tests.amends.contracts.differential.history import Difference, Outcomes
from tests.amends.contracts.differential.postgres import postgres
from tests.amends.contracts.differential.seeds import compare_in_new_cluster, compare_seeds, seed_parser
from tests.amends.contracts.differential.shrinking import LENGTH, require_same


async def main(arguments: argparse.Namespace) -> int:
    outcomes = Outcomes()

    async def compare(url: URL) -> int:
        async with postgres(url) as side:

            async def both(seed: int) -> None:
                await require_same(side, seed, outcomes, arguments.length, arguments.only)

            return await compare_seeds(both, arguments.seed, arguments.minutes * 60)

    def summary() -> str:
        return f"{sum(outcomes.seen.values())} outcomes. Not seen: {', '.join(outcomes.missing()) or 'nothing'}"

    return await compare_in_new_cluster(compare, Difference, summary)


def numbers(text: str) -> set[int]:
    return {int(number) for number in text.split(",")}


if __name__ == "__main__":
    parser = seed_parser(__doc__, LENGTH)
    parser.add_argument("--only", type=numbers, help="only the operations with these numbers")
    sys.exit(asyncio.run(main(parser.parse_args())))
