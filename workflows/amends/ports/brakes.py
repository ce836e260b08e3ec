"""What brakes need of the store: they are set and lifted, each in one commit with its event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from workflows.amends.brakes.brake import Brake
from workflows.amends.ports.event_store import FeedCursor, NewEvent, RepeatedRequest, StoredAnswer


@dataclass(frozen=True)
class BrakeLift:
    """By whom, why and when a brake was lifted."""

    by: str
    reason: str
    at: datetime


class BrakeStore(Protocol):
    """Where brakes are kept."""

    async def set_brake(
        self, brake: Brake, event: NewEvent, answer: StoredAnswer | None
    ) -> FeedCursor | RepeatedRequest:
        """Set a brake; `brake.set_at` is the store's to say."""
        ...

    async def lift_brake(self, id: str, by: str, reason: str, event: NewEvent) -> bool:
        """Lift a brake; False if it was lifted before, by another request. Raises NotFound."""
        ...

    async def lift_of(self, id: str) -> BrakeLift | None:
        """By whom, why and when a brake was lifted; None for one that was not."""
        ...

    async def knows_sagas(self, name: str | None, version: int | None) -> bool:
        """Whether there are sagas of this name and version, or executors that have code for such."""
        ...
