"""The builds of read models in memory, with their lag and their dead letters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from domain.amends.event import event_type
from domain.amends.projection import Projection
from domain.amends.read_model.events import DeadLetterSkipped, read_model_stream
from workflows.amends.ports.event_store import START, FeedCursor, StoredEvent
from workflows.amends.ports.projection_builds import (
    COUNTED,
    GLANCE,
    LISTED,
    BuildLag,
    BuildTarget,
    DeadLetter,
    ProjectionBuild,
    SkippedEvent,
    TableShape,
)
from workflows.amends.projections.feed import types_of
from workflows.amends.projections.table_check import columns_of
from workflows.amends.simulation.memory.events import MemoryEvents
from workflows.amends.simulation.memory.rows import ManualClock
from workflows.amends.simulation.read_models.memory_build import MemoryBuild

SKIPPED = event_type(DeadLetterSkipped).name


def _none_ended(executor: str) -> bool:
    return False


@dataclass
class MemoryBuilds:
    """The builds of all read models of one store.

    `ended` says of an executor whether it was ended. A `run` is one of a database server: who changes it lets this one
    be another server than before.
    """

    events: MemoryEvents
    clock: ManualClock = field(default_factory=ManualClock)
    ended: Callable[[str], bool] = _none_ended
    run: int = 1
    all_builds: dict[BuildTarget, MemoryBuild] = field(default_factory=dict)
    left_out: dict[tuple[str, str, int], tuple[int, datetime]] = field(default_factory=dict)
    """What was skipped, by read model, key and position: in which build, and when."""

    @property
    def now(self) -> datetime:
        return self.clock.now

    def builds_of(self, name: str | None) -> list[MemoryBuild]:
        """The builds of a read model, or all, in their order."""
        found = [each for each in self.all_builds.values() if name in (None, each.name)]
        return sorted(found, key=lambda each: each.target.as_tuple)

    def live_build(self, name: str) -> MemoryBuild | None:
        """The build that people see."""
        return next((each for each in self.builds_of(name) if each.state == "live"), None)

    # -- builds and dead letters

    async def builds(self, name: str | None = None, patiently: bool = False) -> list[ProjectionBuild]:
        return [
            each.as_projection_build(self.is_free(each), self._skips(each.name), self.run)
            for each in self.builds_of(name)
        ]

    def is_free(self, build: MemoryBuild) -> bool:
        """Whether a runner may take a build."""
        return build.is_free(self.now, build.runner is not None and self.ended(build.runner.partition("/")[0]))

    def _skips(self, name: str) -> int:
        return sum(known == name for known, _, _ in self.left_out)

    async def create_first_build(self, projection: Projection[Any, Any]) -> str | None:
        if self.live_build(projection.name) is None:
            self.make_build(projection, "live")
        return None

    def make_build(self, projection: Projection[Any, Any], state: str) -> MemoryBuild:
        """Make a build, empty."""
        number = max((each.build for each in self.builds_of(projection.name)), default=0) + 1
        made = MemoryBuild(
            projection.name,
            number,
            projection.version,
            state,
            projection.key,
            columns_of(projection),
            projection.indexes,
            types_of(projection),
            projection.mode == "inline",
            self.now,
            self.now,
            self.now if state == "live" else None,
        )
        self.all_builds[made.target] = made
        return made

    async def creation_obstacle(self, name: str) -> str | None:
        return None

    async def note_reads(self, projections: Collection[Projection[Any, Any]]) -> None:
        for each in projections:
            for build in self.builds_of(each.name):
                renamed = [
                    set(names) for names in each.vocabulary.names_of_renamed_events if not names.isdisjoint(build.types)
                ]
                own = set(types_of(each)) if build.version == each.version else set()
                if new := own.union(*renamed) - set(build.types):
                    build.types, build.touched_at = sorted({*build.types, *new}), self.now

    async def lag(self, build: ProjectionBuild) -> BuildLag:
        later = [each for each in await self.events_after(build.cursor) if each.name in build.types]
        seconds = max(((self.now - each.recorded_at).total_seconds() for each in later), default=0.0)
        return BuildLag(min(len(later), COUNTED), seconds)

    async def table_shape(self, target: BuildTarget, patiently: bool = False) -> TableShape:
        build = self.all_builds.get(target)
        return build.table_shape() if build else TableShape(False, (), (), (), None, False)

    async def dead_letters(self, name: str | None = None, key: str | None = None) -> list[DeadLetter]:
        most, events = GLANCE if name is None else LISTED, await self.events_after(START)
        return [
            letter for build in self.builds_of(name) for letter in list(self.dead_letters_of(build, events, key))[:most]
        ]

    def dead_letters_of(
        self, build: MemoryBuild, events: Sequence[StoredEvent], key: str | None
    ) -> Iterator[DeadLetter]:
        """The dead letters of a build, oldest first; `events` are all that there are."""
        for each in sorted(build.set_aside.values(), key=lambda known: known.since):
            if key in (None, each.key):
                first = next(event for event in events if event.position in each.positions)
                yield DeadLetter(
                    build.name,
                    build.build,
                    each.key,
                    each.error,
                    each.since,
                    each.requested_action,
                    first.id,
                    first.name,
                    first.stream,
                    first.version,
                    first.position,
                    len(each.positions) - 1,
                )

    async def skipped_events(self, name: str) -> list[SkippedEvent]:
        events = await self.events_after(START)
        told = [
            each
            for each in events
            if each.stream == read_model_stream(name) and each.name == event_type(DeadLetterSkipped).name
        ]
        found = []
        for (_, key, position), (build, at) in self.skipped_of(name):
            event = next(each for each in events if each.position == position)
            why = next((each for each in reversed(told) if each.data["event_id"] == str(event.id)), None)
            about = (event.id, event.name, event.stream, event.version, position)
            reason = (why.data["reason"], why.metadata.get("actor")) if why else (None, None)
            found.append(SkippedEvent(key, build, at, *about, *reason))
        return sorted(found, key=lambda each: (each.at, each.position), reverse=True)[:LISTED]

    def skipped_of(self, name: str) -> list[tuple[tuple[str, str, int], tuple[int, datetime]]]:
        """What was skipped of a read model."""
        return [(known, told) for known, told in self.left_out.items() if known[0] == name]

    async def has_nothing_between(self, build: MemoryBuild, cursor: FeedCursor) -> bool:
        """Whether no event that a build reads lies between its checkpoint and a place, the place included."""
        if build.cursor >= cursor:
            return True
        end = (await self.events_after(START))[-1:]
        if not end or cursor > end[0].cursor:
            return False
        return not any(
            each.name in build.types and each.cursor <= cursor for each in await self.events_after(build.cursor)
        )

    async def events_after(self, cursor: FeedCursor) -> list[StoredEvent]:
        """All events after a place."""
        return await self.events.feed(cursor, len(self.events.stored))
