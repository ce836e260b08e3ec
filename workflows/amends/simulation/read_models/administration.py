"""Operations on read models in memory: each with its event, and the answer to its request."""

from __future__ import annotations

from typing import Any

from domain.amends.event import Cause
from domain.amends.projection import Projection
from domain.amends.read_model.events import read_model_stream
from workflows.amends.ports.event_store import START, IdempotencyKey, StoredAnswer, new_amends_event, repeated_answer
from workflows.amends.ports.projection_builds import BuildTarget, DeadLetter, ProjectionBuild, RequestedAction
from workflows.amends.ports.projection_store import Body, Operation, SwitchOutcome
from workflows.amends.simulation.read_models.builds import MemoryBuilds
from workflows.amends.simulation.read_models.memory_build import MemoryBuild

FOLLOWED_SECONDS = 20
"""So long after a build was last written, its read model counts as followed."""


async def administer(
    store: MemoryBuilds, name: str, cause: Cause, once: IdempotencyKey | None, operation: Operation
) -> Body:
    """Carry out an operation, append its events to the read model's own stream, and keep the answer."""
    if once and (known := store.events.earlier_answer(StoredAnswer(once.key, once.digest, {}))):
        return repeated_answer(once.key, once.digest, known)
    events, body = await operation(_Transaction(store))
    body = {"name": name} | body
    cursor = store.events.write([new_amends_event(read_model_stream(name), each, cause) for each in events])
    store.events.keep_answer(StoredAnswer(once.key, once.digest, body) if once else None, cursor)
    return body | {"position": str(cursor)}


class _Transaction:
    """What an operation does; nothing else happens in between."""

    def __init__(self, store: MemoryBuilds) -> None:
        self._store = store

    async def open_build(self, projection: Projection[Any, Any]) -> int | None:
        if any(each.state == "building" for each in self._store.builds_of(projection.name)):
            return None
        return self._store.make_build(projection, "building").build

    async def promote(self, build: ProjectionBuild, less: bool) -> SwitchOutcome:
        new, old = self._known(build), self._store.live_build(build.name)
        if new is None:
            return "unknown"
        if new is old:
            return "live"
        if new.caught_up_at is None or (old and not await self._store.has_nothing_between(new, old.cursor)):
            return "behind"
        if not less and await self.shown_less(build):
            return "less"
        if old:
            old.state, old.touched_at = "retired", self._store.now
        new.state, new.promoted_at, new.touched_at = "live", self._store.now, self._store.now
        return "promoted"

    async def shown_less(self, build: ProjectionBuild) -> list[str]:
        new, old = self._known(build), self._store.live_build(build.name)
        there = old.set_aside if old else {}
        aside = sorted(new.set_aside.values(), key=lambda each: (each.since, each.key)) if new else []
        return [
            each.key for each in aside if each.key not in there or min(each.positions) < min(there[each.key].positions)
        ]

    async def drop(self, build: ProjectionBuild) -> SwitchOutcome:
        known = self._known(build)
        if known is None or known.state == "live":
            return "live" if known else "unknown"
        del self._store.all_builds[known.target]
        return "dropped"

    async def drop_model(self, build: ProjectionBuild) -> SwitchOutcome:
        found = self._store.builds_of(build.name)
        if not found:
            return "unknown"
        if any((self._store.now - each.touched_at).total_seconds() < FOLLOWED_SECONDS for each in found):
            return "followed"
        for each in found:
            del self._store.all_builds[each.target]
        for known in [known for known in self._store.left_out if known[0] == build.name]:
            del self._store.left_out[known]
        return "dropped"

    async def request_action(self, name: str, key: str, action: RequestedAction) -> list[DeadLetter]:
        events = await self._store.events_after(START)
        letters = list[DeadLetter]()
        for build in self._store.builds_of(name):
            if key in build.set_aside:
                build.set_aside[key].requested_action = action
                letters += self._store.dead_letters_of(build, events, key)
        return letters

    def _known(self, build: ProjectionBuild) -> MemoryBuild | None:
        return self._store.all_builds.get(BuildTarget(build.name, build.build))
