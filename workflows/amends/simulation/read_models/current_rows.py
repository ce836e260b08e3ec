"""Follows the feed of a store in memory at once, and gives the rows that its events add up to."""

from __future__ import annotations

from typing import Any, TypeVar

from domain.amends.projection import Projection
from workflows.amends.ports.event_store import START, FeedCursor
from workflows.amends.ports.projection_builds import FeedEvent
from workflows.amends.projections.feed import recorded_event
from workflows.amends.projections.runner import Runner
from workflows.amends.simulation.read_models.memory_build import MemoryBuild
from workflows.amends.simulation.read_models.store import MemoryProjections
from workflows.amends.values.codec import type_adapter

Row = TypeVar("Row")


class EndOfFeed:
    """The end of a feed that nobody waits at."""

    async def wait_beyond(self, cursor: FeedCursor, seconds: float) -> bool:
        return False


async def current_rows(store: MemoryProjections, projection: Projection[Row, Any]) -> dict[str, Row]:
    """The rows of a read model once a runner has applied all events, by key; it goes on from its last checkpoint.

    Raises AssertionError, naming the event, where one cannot be applied, and what keeps a runner from going on.
    """
    if projection.mode == "live":
        found = [each for each in await store.events_after(START) if each.name in projection.vocabulary.names]
        return projection(recorded_event(projection, FeedEvent.of(each)) for each in found)
    build = _build(store, projection)
    await Runner(projection, build.target, store, EndOfFeed(), f"simulation/{projection.versioned_name}").catch_up()
    for letter in await store.dead_letters(projection.name):
        event = f"{letter.type}, version {letter.version} of {letter.stream}"
        raise AssertionError(f"{projection.name} cannot apply {event}: {letter.error}")
    rows = type_adapter(list[projection.row]).validate_json(build.rows_json(build.rows, sorted(build.rows)))  # type: ignore[name-defined]
    return {getattr(row, projection.key): row for row in rows}


def _build(store: MemoryProjections, projection: Projection[Any, Any]) -> MemoryBuild:
    """The live build of this version; an older one makes room for it."""
    live = store.live_build(projection.name)
    if live and live.version != projection.version:
        del store.all_builds[live.target]
        live = None
    return live or store.make_build(projection, "live")
