"""Operations on read models: each is one commit with its event and the answer to its request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

from domain.amends.errors import Conflict, NotFound
from domain.amends.event import Cause
from domain.amends.read_model.events import (
    BuildDropped,
    BuildPromoted,
    BuildStarted,
    DeadLetterRetried,
    DeadLetterSkipped,
)
from workflows.amends.ports.event_store import IdempotencyKey
from workflows.amends.ports.projection_builds import ProjectionBuild, RequestedAction
from workflows.amends.ports.projection_store import (
    AdministrationTransaction,
    Body,
    OperationNotYetPossible,
    OperationOutcome,
    SwitchOutcome,
)
from workflows.amends.projections.builds import ProjectionBuilds, build_not_found
from workflows.amends.projections.failures import short_key

PATIENT_SECONDS = 5.0
"""How long a promotion waits until the new build has got as far as the live one, and until nobody reads the view."""
AGAIN_SECONDS = 0.05


class ProjectionAdministration:
    """Rebuild, promote, drop, retry and skip, in one process. With a key the same request is carried out once.

    All raise NotFound for an unknown name, Conflict for an operation that is not possible now, and Unavailable.
    """

    def __init__(self, builds: ProjectionBuilds, patience: float = PATIENT_SECONDS) -> None:
        self._builds, self._commit, self._patience = builds, builds.store.administer, patience

    async def rebuild(self, name: str, cause: Cause, once: IdempotencyKey | None = None) -> Body:
        """Start a build of the newest version beside the live one."""
        projection = self._builds.newest(name)
        if projection.mode == "live":
            raise Conflict("mode", f"{name} is live: it has no table, and is folded whenever somebody asks.")

        async def act(store: AdministrationTransaction) -> OperationOutcome:
            build = await store.open_build(projection)
            if build is None:
                raise Conflict("building", f"{name} is being rebuilt already: promote it, or drop it first.")
            return OperationOutcome(
                [BuildStarted(name, build, projection.version)], {"build": build, "version": projection.version}
            )

        return await self._commit(name, cause, once, act)

    async def promote(
        self, name: str, build: int | None, cause: Cause, once: IdempotencyKey | None = None, less: bool = False
    ) -> Body:
        """Let the view show another build: the rebuilt one, or an older one. Readers see no less than before.

        With `less` keys may be set aside in it that the live build shows.
        """
        found = await self._builds.get(name, build or await self._builds.promotable(name))
        if found.caught_up_at is None and found.state != "live":
            raise await self._behind(found)

        async def act(store: AdministrationTransaction) -> OperationOutcome:
            outcome = _known(await store.promote(found, less), found)
            if outcome == "behind":
                raise OperationNotYetPossible(busy=False)
            if outcome == "live":
                raise Conflict("live", f"{name} build {found.build} is live already.")
            if outcome == "less":
                raise _shows_less(found, await store.shown_less(found))
            return OperationOutcome([BuildPromoted(name, found.build, found.version)], _body(found))

        return await self._patiently(found, partial(self._commit, name, cause, once, act))

    async def drop(self, name: str, build: int | None, cause: Cause, once: IdempotencyKey | None = None) -> Body:
        """Drop a build that is not live: the given one, else the only one beside the live one.

        Of a read model whose code is gone all builds are dropped, unless one is given.
        """
        await self._builds.require(name)
        if build is None and self._builds.is_orphaned(name):
            return await self._drop_orphan(name, cause, once)
        found = await self._builds.get(name, build or await self._builds.droppable(name))

        async def act(store: AdministrationTransaction) -> OperationOutcome:
            if _known(await store.drop(found), found) == "live":
                raise Conflict("live", f"{name} build {found.build} is live: promote another one first.")
            return OperationOutcome(
                [BuildDropped(name, found.build, found.version)], _body(found) | {"dropped": found.build}
            )

        return await self._patiently(found, partial(self._commit, name, cause, once, act))

    async def _drop_orphan(self, name: str, cause: Cause, once: IdempotencyKey | None) -> Body:
        found = await self._builds.all(name)

        async def act(store: AdministrationTransaction) -> OperationOutcome:
            if _known(await store.drop_model(found[0]), found[0]) == "followed":
                raise Conflict(
                    "followed",
                    f"A server that has the code of {name} follows the feed for it, or did within the last 20 s:"
                    " stop it first, and ask again then.",
                )
            events = [BuildDropped(name, each.build, each.version) for each in found]
            return OperationOutcome(events, _body(found[-1]) | {"dropped": [each.build for each in found]})

        return await self._patiently(found[0], partial(self._commit, name, cause, once, act))

    async def request_action(
        self,
        name: str,
        key: str,
        action: RequestedAction,
        reason: str,
        cause: Cause,
        once: IdempotencyKey | None = None,
    ) -> Body:
        """Note the requested action for a key that is set aside: the runners of its builds perform it next.

        `retry` applies the event and those behind it once more; `skip` leaves out the one that cannot be applied.
        """
        self._builds.newest(name)
        event = DeadLetterSkipped if action == "skip" else DeadLetterRetried

        async def act(store: AdministrationTransaction) -> OperationOutcome:
            letters = await store.request_action(name, key, action)
            if not letters:
                raise NotFound("set aside", f"{name} {key}", f"See what waits: ./run amends projections list {name}.")
            events = [event(name, each.build, key, str(each.event_id), each.error, reason) for each in letters]
            return OperationOutcome(events, {"key": key, "wish": action})

        return await self._commit(name, cause, once, act)

    async def _patiently(self, build: ProjectionBuild, attempt: Callable[[], Awaitable[Body]]) -> Body:
        until = time.monotonic() + self._patience
        while True:
            try:
                return await attempt()
            except OperationNotYetPossible as not_yet:
                if time.monotonic() > until:
                    raise (_busy(build) if not_yet.busy else await self._behind(build)) from not_yet
            await asyncio.sleep(AGAIN_SECONDS)

    async def _behind(self, build: ProjectionBuild) -> Conflict:
        lag = await self._builds.store.lag(build)
        return Conflict(
            "behind", f"{build.name} build {build.build} has not caught up: it is {lag.events} events behind."
        )


def _known(outcome: SwitchOutcome, build: ProjectionBuild) -> SwitchOutcome:
    """What became of a build that was there a moment ago. Raises NotFound if it is not any more."""
    if outcome == "unknown":
        raise build_not_found(build.name, build.build)
    return outcome


def _shows_less(build: ProjectionBuild, keys: list[str]) -> Conflict:
    first = ", ".join(map(short_key, keys[:5])) + (", …" if len(keys) > 5 else "")
    return Conflict(
        "set-aside",
        f"{build.name} build {build.build} would show less than the live one: {len(keys)} keys are set aside in it "
        f"({first}). Retry or skip them, or allow it: ?allow_set_aside=true, --allow-set-aside.",
    )


def _busy(build: ProjectionBuild) -> Conflict:
    return Conflict("busy", f"Somebody has been reading views.{build.name} for a while. Try again.")


def _body(build: ProjectionBuild) -> Body:
    return {"build": build.build, "version": build.version}
