"""Everything that is drawn in a history is drawn from its seed: jitter, ids, tokens."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from workflows.amends.ids import seeded_ids


@contextmanager
def seeded_randomness(seed: int) -> Iterator[None]:
    """Meanwhile the dice of this process, and those for ids, are the seed's."""
    before = random.getstate()
    random.seed(seed)
    try:
        with seeded_ids(random.Random(seed)):
            yield
    finally:
        random.setstate(before)
