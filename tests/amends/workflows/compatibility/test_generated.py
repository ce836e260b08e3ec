"""Two hundred generated changes of code: each verdict of a check is what happens to what was parked before them."""

from __future__ import annotations

from random import Random

from tests.amends.workflows.compatibility import families, sales
from workflows.amends.compatibility.replay_log import Verdict

SEED = 20
MANY = 200


async def judged(dice: Random) -> tuple[str, list[Verdict]] | None:
    """The verdicts after a few changes at once, in any order; None if they do not go together."""
    about = dice.choice((sales, sales, sales, sales, families))
    changes = dice.sample(sorted(about.CHANGES), dice.choice((1, 2, 2, 3)))
    try:
        after = about.changed(*changes)
    except Exception:  # no code that can be imported
        return None
    return f"{about.__name__}: {changes}", await about.verdicts(after)


async def test_each_verdict_on_a_generated_change_is_what_happens() -> None:
    dice, seen = Random(SEED), dict[str, list[Verdict]]()
    while len(seen) < MANY:
        if found := await judged(dice):
            changes, verdicts = found
            seen[changes] = verdicts
    stranding = sum(any(each.outcome != "fits" for each in verdicts) for verdicts in seen.values())
    assert 0.3 * MANY <= stranding <= 0.95 * MANY
