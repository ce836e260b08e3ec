"""How many sagas this process has started, and how many have ended here and how, since it began."""

from __future__ import annotations

from collections import Counter

from workflows.amends.history import FINISHED, Status


class SagaCounts:
    """Counts of this process alone, so that those of several add up: each start and each end is of one commit.

    A commit whose answer never came, for this process was killed, is counted by nobody.
    """

    def __init__(self) -> None:
        self.starts = Counter[tuple[str, int]]()
        """By name and version; children of sagas that run here too."""
        self.ends = Counter[tuple[str, int, Status]]()
        """By name, version and status."""

    def add_types(self, name: str, version: int) -> None:
        """Begin with nothing of a type: its first one is seen as a change."""
        self.starts[name, version] += 0
        for status in FINISHED:
            self.ends[name, version, status] += 0

    def note_start(self, name: str, version: int) -> None:
        """A saga was started here."""
        self.starts[name, version] += 1

    def note_end(self, name: str, version: int, status: Status) -> None:
        """A saga was completed or compensated here."""
        self.ends[name, version, status] += 1
