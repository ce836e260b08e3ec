"""Runs a runner for every build of every read model that no other process has one for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from app.amends.projections.failures import failure_text, is_database_away
from app.amends.store.feed.notifier import FeedNotifier
from domain.amends.errors import Unavailable
from workflows.amends.background import cancel_tasks, wait_until_set
from workflows.amends.ports.projection_builds import BuildTarget, ProjectionBuild
from workflows.amends.projections.builds import ProjectionBuilds
from workflows.amends.projections.runner import Runner

log = logging.getLogger("amends.projections")

LOOK_SECONDS = 1.0
"""How often it looks for builds without a runner."""
PAUSE_SECONDS = 1.0
"""How long a build is left to other processes after its runner here has failed."""


class Runners:
    """The runners of one process."""

    def __init__(
        self,
        builds: ProjectionBuilds,
        feed_notifier: FeedNotifier,
        executor: Callable[[], str],
    ) -> None:
        self._builds, self._feed_notifier = builds, feed_notifier
        self._executor = executor
        self._runners: dict[BuildTarget, Runner] = {}
        self._for: dict[BuildTarget, str] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._tasks: dict[BuildTarget, asyncio.Task[None]] = {}
        self._not_before: dict[BuildTarget, float] = {}
        self._logged: dict[BuildTarget, str] = {}
        self._watch: asyncio.Task[None] | None = None
        self._nudged = asyncio.Event()
        self._open = False

    async def start(self) -> None:
        """Make the first builds that are missing, and begin to follow."""
        await self._create_first_builds()
        self._watch = asyncio.create_task(self._look(), name="projections")

    async def stop(self) -> None:
        """Stop all runners, which give their leases back."""
        await cancel_tasks(self._watch)
        await cancel_tasks(*self._tasks.values())

    def check_work(self) -> None:
        """Look now: a build was made, or an action requested."""
        self._nudged.set()

    async def on_new_server_run(self) -> None:
        """Another run of the server answers: builds that were made, and notes about them, may be gone."""
        self._open = True
        self.check_work()

    async def _create_first_builds(self) -> None:
        before = self._builds.unopened
        await self._builds.create_first_builds()
        for name, reason in self._builds.unopened.items():
            if before.get(name) != reason:
                log.error("%s has no table, and cannot be given one now: %s", name, reason)

    async def _look(self) -> None:
        while True:
            self._nudged.clear()
            try:
                if self._open or self._builds.unopened:
                    await self._create_first_builds()
                    self._open = False
                found = await self._builds.all()
                for build in found:
                    self._see_to(build)
                self._warn_of_outdated(found)
            except Unavailable as away:
                log.debug("The read models are looked at again when the database is back: %s", away)
            except Exception as error:
                log.warning("The read models are looked at again, after: %r", error)
            await wait_until_set(self._nudged, LOOK_SECONDS)

    def _see_to(self, build: ProjectionBuild) -> None:
        target = BuildTarget(build.name, build.build)
        projection = self._builds.known.get((build.name, build.version))
        if projection is None:
            return
        if target in self._tasks and not self._tasks[target].done():
            self._runners[target].action_requested = self._runners[target].action_requested or build.action_requested
            if self._for[target] != self._executor():
                self._for[target] = self._executor()
                self._end_of_another(self._tasks[target])
        elif (build.free or self._is_mine(build)) and time.monotonic() > self._not_before.get(target, 0.0):
            token = f"{self._executor()}/{target.name}_{target.build}"  # taken up again at once after a failure
            runner = Runner(projection, target, self._builds.store, self._feed_notifier, token)
            self._runners[target], self._for[target] = runner, self._executor()
            self._tasks[target] = asyncio.create_task(self._run(target, runner), name=f"{build.name}_{build.build}")

    def _end_of_another(self, task: asyncio.Task[None]) -> None:
        """End a runner whose executor was ended: the next one has the name of the executor that this process is now."""
        ending = asyncio.create_task(cancel_tasks(task), name="end of a runner")
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    def _is_mine(self, build: ProjectionBuild) -> bool:
        return build.runner is not None and build.runner.startswith(f"{self._executor()}/")

    async def _run(self, target: BuildTarget, runner: Runner) -> None:
        try:
            await runner.run()
        except Exception as error:
            reason = failure_text(error)
            known = self._logged.get(target) == reason and not runner.wrote  # it is said once, not every second
            level = logging.DEBUG if known else logging.WARNING if is_database_away(error) else logging.ERROR
            log.log(level, "%s build %d is not followed for now: %s", *target.as_tuple, reason)
            self._logged[target] = reason
        self._not_before[target] = time.monotonic() + PAUSE_SECONDS

    def _warn_of_outdated(self, found: list[ProjectionBuild]) -> None:
        for build in found:
            if build.state == "live" and build.free and self._builds.is_orphaned(build.name):
                self._warn_of_orphan(build.name)
            if build.state == "live" and (build.name, build.version) not in self._builds.known:
                newest = max((version for name, version in self._builds.known if name == build.name), default=None)
                key = BuildTarget(build.name, -build.version)
                if newest and key not in self._not_before:
                    self._not_before[key] = 0.0
                    log.warning(
                        "%s shows version %d; the code here is of version %d: ./run amends projections rebuild %s",
                        build.name,
                        build.version,
                        newest,
                        build.name,
                    )

    def _warn_of_orphan(self, name: str) -> None:
        key = BuildTarget(name, 0)
        if key not in self._not_before:
            self._not_before[key] = 0.0
            log.warning("%s has tables, and its code is gone: ./run amends projections drop %s", name, name)
