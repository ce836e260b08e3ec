"""The feed as a read model reads it: page by page, with the events of its types."""

from __future__ import annotations

from typing import Any

from domain.amends.event import EventType
from domain.amends.projection import Projection, Recorded
from domain.amends.vocabulary import NewerEvent
from workflows.amends.ports.event_store import FeedCursor, load_event_json
from workflows.amends.ports.projection_builds import BuildTarget, FeedEvent, FeedPage
from workflows.amends.ports.projection_store import RunnerStore


class NewerReader(NewerEvent):
    """Other code of version {version} of this read model reads {name}, which this code does not know: {problem}"""


class ProjectionFeed:
    """The feed as one projection reads it."""

    def __init__(self, projection: Projection[Any, Any], target: BuildTarget, store: RunnerStore) -> None:
        self._projection, self._target, self._store = projection, target, store
        self.types = types_of(projection)

    async def page_after(self, cursor: FeedCursor, limit: int) -> FeedPage:
        """The next page of so many events of all types.

        Raises NewerReader where other code reads events for this build that this code would pass over.
        """
        page = await self._store.read_page(self._target, self.types, cursor, limit)
        if page.unread:
            advice = "run that code, or raise the version and rebuild."
            raise NewerReader(page.unread, self._projection.version, advice)
        return page


def types_of(projection: Projection[Any, Any]) -> list[str]:
    """The names under which a projection's events are stored, older ones included."""
    return sorted(projection.vocabulary.names)


def recorded_event(projection: Projection[Any, Any], found: FeedEvent) -> Recorded[Any]:
    """An event as a projection sees it. Raises Unreadable."""
    _, _, _, stream, version, name, schema_version, data, at = found
    event = load_event_json(projection.vocabulary, EventType(name, schema_version), data)
    return Recorded(event, stream, projection.key_of_stream(stream) or stream, version, at)
