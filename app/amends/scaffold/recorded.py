"""The recordings that a project keeps, as a new version of Amends is tried with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

FOLDER = Path("tests", "recordings")


def replay_command(root: Path, amends: Sequence[str]) -> Sequence[str]:
    """The command that replays the recordings of a project; none if it keeps none."""
    if not any((root / FOLDER).glob("*.json")):
        return ()
    return (*amends, "workflows", "check", "--recordings", str(FOLDER))
