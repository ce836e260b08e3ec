"""Read models in memory: what the store in Postgres does with builds, leases, commits and dead letters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from domain.amends.event import Cause
from domain.amends.projection import Projection
from workflows.amends.ports.event_store import START, FeedCursor, IdempotencyKey
from workflows.amends.ports.projection_builds import (
    BuildCommit,
    BuildTarget,
    FeedEvent,
    FeedPage,
    LeaseLost,
    RequestedAction,
    ServerChanged,
)
from workflows.amends.ports.projection_store import Body, Operation
from workflows.amends.simulation.read_models.administration import administer
from workflows.amends.simulation.read_models.builds import MemoryBuilds
from workflows.amends.simulation.read_models.memory_build import MemoryBuild, MemoryDeadLetter, MemoryErrors
from workflows.amends.simulation.read_models.visible_rows import visible_rows


class MemoryProjections(MemoryBuilds):
    """The read models of one store; workflows.amends.ports.projection_store says what it promises."""

    errors = MemoryErrors()

    # -- runners

    async def take_lease(self, target: BuildTarget, runner: str) -> bool:
        build = self.all_builds.get(target)
        if build is None or not (build.runner == runner or self.is_free(build)):
            return False
        build.grant_lease(runner, self.now)
        return True

    async def release_lease(self, target: BuildTarget, runner: str) -> None:
        if (build := self.all_builds.get(target)) and build.runner == runner:
            build.runner, build.lease_until, build.touched_at = None, None, self.now

    async def read_page(self, target: BuildTarget, types: Sequence[str], after: FeedCursor, limit: int) -> FeedPage:
        found = await self.events.feed(after, limit)
        if not found:
            return FeedPage((), None, False)
        build = self.all_builds.get(target)
        unread = ", ".join(sorted(set(build.types if build else ()) - set(types)))
        wanted = [FeedEvent.of(each) for each in found if each.name in types]
        return FeedPage(wanted, FeedCursor(*found[-1].cursor), len(found) >= limit, self.run, unread or None)

    async def rows_json(self, target: BuildTarget, keys: Sequence[str]) -> str:
        build = self.all_builds.get(target)
        return build.rows_json(build.rows, keys) if build else "[]"

    async def dead_letter_keys(self, target: BuildTarget) -> set[str]:
        build = self.all_builds.get(target)
        return set(build.set_aside) if build else set()

    async def skipped_positions(self, name: str) -> set[int]:
        return {position for (_, _, position), _ in self.skipped_of(name)}

    async def requested_actions(self, target: BuildTarget) -> list[tuple[str, RequestedAction]]:
        build = self.all_builds.get(target)
        found = sorted(build.set_aside.values(), key=lambda each: (each.since, each.key.encode())) if build else []
        return [(each.key, each.requested_action) for each in found if each.requested_action]

    async def dead_letter_events(self, target: BuildTarget, key: str) -> list[FeedEvent]:
        build = self.all_builds.get(target)
        known = build.set_aside.get(key) if build else None
        return await self.events_at(known.positions if known else ())

    async def events_at(self, positions: Collection[int]) -> list[FeedEvent]:
        """The events at these positions, in the order of the feed."""
        return [FeedEvent.of(each) for each in await self.events_after(START) if each.position in positions]

    async def note_expected_events(self, target: BuildTarget, types: Sequence[str]) -> None:
        if build := self.all_builds.get(target):
            build.expected, build.touched_at = (
                sum(each.name in types for each in await self.events_after(START)),
                self.now,
            )

    async def commit(self, commit: BuildCommit) -> None:
        if commit.run != self.run:
            raise ServerChanged
        build = self.all_builds.get(commit.target)
        if build is None or build.runner != commit.runner or build.cursor != commit.begin:
            raise LeaseLost
        build.rows = build.rows_after_change(build.rows, commit.rows, commit.gone)
        build.grant_lease(commit.runner, self.now)
        build.cursor, build.events, build.failure_reason = FeedCursor(*commit.end), build.events + commit.events, None
        build.moved_at = self.now
        if commit.caught_up:
            build.caught_up_at = build.caught_up_at or self.now
        self._set_aside(build, commit)

    def _set_aside(self, build: MemoryBuild, commit: BuildCommit) -> None:
        """Clear a key, and set others aside; what was requested since for the same event stays requested."""
        cleared = build.set_aside.pop(commit.cleared[0], None) if commit.cleared[0] is not None else None
        for key, position in commit.skipped:
            self.left_out.setdefault((build.name, key, position), (build.build, self.now))
        for each in commit.rejected:
            if each.error is not None:
                build.set_aside[each.key] = MemoryDeadLetter(each.key, each.error, self.now)
            build.set_aside[each.key].positions.update(each.positions)
        again = build.set_aside.get(cleared.key) if cleared else None
        if cleared and again and min(again.positions) == min(cleared.positions):
            requested = cleared.requested_action
            again.requested_action = requested if requested != commit.cleared[1] else None

    @asynccontextmanager
    async def row_trial(self, target: BuildTarget) -> AsyncIterator[_Trial]:
        yield _Trial(self, self.all_builds[target])

    async def restore_view(self, name: str) -> None:
        return None

    async def note_failure(self, target: BuildTarget, runner: str, failure: str) -> None:
        build = self.all_builds.get(target)
        if build and build.failure_reason != failure and (build.runner == runner or self.is_free(build)):
            build.failure_reason, build.touched_at = failure, self.now

    # -- people

    async def administer(self, name: str, cause: Cause, once: IdempotencyKey | None, operation: Operation) -> Body:
        return await administer(self, name, cause, once, operation)

    async def visible_rows(
        self, projection: Projection[Any, Any], where: Mapping[str, str], after: str | None, limit: int
    ) -> list[dict[str, Any]]:
        return visible_rows(self.live_build(projection.name), projection, where, after, limit)

    async def have_reached(self, name: str, cursors: Sequence[FeedCursor]) -> list[bool | None]:
        return [await self._reached(self.live_build(name), cursor) for cursor in cursors]

    async def _reached(self, live: MemoryBuild | None, cursor: FeedCursor) -> bool | None:
        stored = self.events.event_by_id(cursor.event) if cursor.event else None
        if cursor.event and (stored is None or stored.position != cursor.position):
            return False
        return True if live and await self.has_nothing_between(live, cursor) else None


class _Trial:
    """Rows of a build on trial; nothing of it stays."""

    def __init__(self, store: MemoryProjections, build: MemoryBuild) -> None:
        self._store, self._build, self._rows = store, build, dict(build.rows)

    async def rows_json(self, keys: Sequence[str]) -> str:
        return self._build.rows_json(self._rows, keys)

    async def events_at(self, positions: Sequence[int]) -> list[FeedEvent]:
        return await self._store.events_at(positions)

    async def put_rows(self, rows: str, gone: Sequence[str]) -> None:
        self._rows = self._build.rows_after_change(self._rows, rows, gone)
