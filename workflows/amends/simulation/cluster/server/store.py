"""The store of a cluster: the store in memory, by the clock of its timeline."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from workflows.amends.simulation.cluster.virtual_time import Timeline
from workflows.amends.simulation.memory.rows import ManualClock
from workflows.amends.simulation.memory.sagas import MemorySagas

EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""What time it is by the store's clock when a history begins."""

ClusterStore: TypeAlias = MemorySagas


class VirtualClock(ManualClock):
    """The clock of a store whose time passes by itself."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    @property
    def now(self) -> datetime:  # type: ignore[override]
        return EPOCH + timedelta(seconds=self._timeline.now)


def memory_store(timeline: Timeline) -> ClusterStore:
    """A store that is empty."""
    return MemorySagas(VirtualClock(timeline))
