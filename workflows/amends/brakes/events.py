"""What people did with brakes, as events: who has set and lifted them, and why; the actor stands in the metadata."""

from __future__ import annotations

from domain.amends.event import event
from workflows.amends.brakes.brake import BrakeScope, WhenStarted


def brake_stream(id: str) -> str:
    """The stream of a brake's own history."""
    return f"amends-brake-{id}"


@event("brake-set")
class BrakeSet:
    """Nothing new of what the scope names begins from now on."""

    brake: str
    scope: BrakeScope
    starts: WhenStarted
    compensations: bool
    reason: str


@event("brake-lifted")
class BrakeLifted:
    """What waited at the brake goes on."""

    brake: str
    reason: str
