"""Waits until a read model has got to what somebody wrote."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias
from uuid import UUID

from app.amends.postgres.statements.waiter import PollingWaiter
from workflows.amends.ports.event_store import FeedCursor
from workflows.amends.ports.projection_store import ViewStore

LOOK_SECONDS = 0.01
"""How often it is asked while somebody waits."""

Place: TypeAlias = tuple[int, int, int, UUID | None]
"""A feed cursor with its event."""


def cursor_waiter(name: str, store: ViewStore) -> PollingWaiter[Place, bool]:
    """Waits until the live table of a read model has got to a place; False for one that is not on record any more."""

    async def ask(places: Collection[Place]) -> dict[Place, bool]:
        wanted = list(places)
        known = await store.have_reached(name, [FeedCursor(*place) for place in wanted])
        return {place: stands for place, stands in zip(wanted, known, strict=True) if stands is not None}

    return PollingWaiter(name, ask, LOOK_SECONDS)
