"""One server of a cluster: a process with clocks of its own that runs the engine, and can be paused and killed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from workflows.amends.brakes.brake import BrakeScope
from workflows.amends.clocks import Clocks
from workflows.amends.executor.engine import Engine, Options
from workflows.amends.executor.lease import Lease
from workflows.amends.executor.process import Process
from workflows.amends.ports.executors import OtherExecutor
from workflows.amends.providers import Providers
from workflows.amends.saga import Saga
from workflows.amends.simulation.cluster.network import Network, NetworkLink
from workflows.amends.simulation.cluster.server.lease_task import LeaseTask
from workflows.amends.simulation.cluster.server.remote_store import RemoteStore
from workflows.amends.simulation.cluster.server.runtime import SimulatedRuntime
from workflows.amends.simulation.cluster.server.store import EPOCH, ClusterStore
from workflows.amends.simulation.cluster.server.watch import CommitWatch
from workflows.amends.simulation.cluster.virtual_time import Timeline, VirtualLoop

STORE: Final = "the store"
BRAKE_SECONDS: Final = 1.0
"""So long after it was set a brake holds in every process."""


@dataclass(frozen=True)
class ServerSite:
    """Where a server runs: on which machine, how fast its clock is, and by how many seconds its time of day is off."""

    machine: str = "a"
    rate: float = 1.0
    skew: float = 0.0
    without: tuple[str, ...] = ()
    """The names of sagas that it has no code for, nor for those that start them, as during a deployment."""

    def known(self, sagas: Sequence[Saga[Any, Any]]) -> list[Saga[Any, Any]]:
        """Those of these sagas that it has code for."""
        missing = set(self.without)
        for _ in sagas:
            for saga in sagas:
                if any(child.name in missing for child in saga.definition.children):
                    missing.add(saga.definition.name)
        return [saga for saga in sagas if saga.definition.name not in missing]


class Server:
    """A process that runs sagas. `sagas` are made for it, with the providers that its gateways call.

    `uses_dbos` says that somebody uses DBOS's own tools: only then DBOS looks into its own queue.
    """

    def __init__(
        self,
        pid: int,
        site: ServerSite,
        network: Network,
        store: ClusterStore,
        watch: CommitWatch,
        options: Options,
        sagas: Callable[[Server], Sequence[Saga[Any, Any]]],
        is_alive: Callable[[int], bool],
        dice: Random,
        uses_dbos: bool = False,
    ) -> None:
        self.pid, self.site, self.network = pid, site, network
        self.timeline: Timeline = network.timeline
        self.loop = VirtualLoop(self.timeline, site.rate, 1000.0 * pid)
        self._store, self._watch, self._options = store, watch, options
        self._sagas, self._is_alive = sagas, is_alive
        self.dice, self._uses_dbos = dice, uses_dbos
        self.clocks = Clocks(self.loop.time, self._now)
        self.providers = Providers(clocks=self.clocks)
        self.engine: Engine | None = None
        self.ended = False
        """Whether it has shut down, or was told to."""
        self.note = watch.note
        self.loop.call_soon(self._boot)

    @property
    def is_up(self) -> bool:
        """Whether it answers requests."""
        return self.engine is not None and not (self.loop.dead or self.loop.paused or self.ended)

    def link(self, where: str) -> NetworkLink:
        """A way of this process to another place."""
        return NetworkLink(self.network, self.loop, where, self.dice)

    def kill(self) -> None:
        """As by kill -9."""
        self.loop.kill()

    def shut_down(self) -> None:
        """As by SIGTERM: it hands over what runs here, and ends."""
        if not (self.ended or self.loop.dead):
            self.ended = True
            self.loop.call_soon(self._begin_shut_down)

    def suspect_losses(self) -> None:
        """It hears that its store may have lost commits."""
        if self.engine and not self.loop.dead:
            self._suspecting = self.loop.create_task(self.engine.suspect_losses(), name="suspicion")

    def note_call(self, provider: str) -> None:
        """A call to a provider begins now: no brake may hold all of its calls for longer than a second already."""
        begun = EPOCH + timedelta(seconds=self.timeline.now - BRAKE_SECONDS)
        for brake in self._store.brakes_in_force():
            if brake.scope == BrakeScope(provider=provider) and brake.compensations and brake.set_at < begun:
                self._watch.problems.append(f"server {self.pid} calls {provider}, which {brake.id} has held")

    def _now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.timeline.now + self.site.skew)

    def _boot(self) -> None:
        self._main = self.loop.create_task(self._launch(), name="launch")
        self._main.add_done_callback(self._launched)

    def _launched(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self.loop.call_exception_handler({"message": f"server {self.pid} does not start", "exception": error})

    async def _launch(self) -> None:
        link = self.link(STORE)

        def keeper(lease: Lease, taken_away: Callable[[], None]) -> LeaseTask:
            return LeaseTask(lease, self.link(STORE), self._store.renew_lease, taken_away, self.kill)

        process = Process(f"{self.site.machine}-{self.pid}", self.site.machine, self.pid, 0.0, self._is_gone)
        runtime = SimulatedRuntime(link, self._store, self._uses_dbos)
        engine = Engine(
            self.site.known(self._sagas(self)),
            RemoteStore(self._store, link, self._watch),
            runtime,
            keeper,
            process,
            self._options,
            self.providers,
            self.clocks,
        )
        await engine.launch()
        self.engine = engine

    def _begin_shut_down(self) -> None:
        self._ending = self.loop.create_task(self._shut_down(), name="shut down")

    async def _shut_down(self) -> None:
        await asyncio.wait({self._main})
        if self.engine:
            await self.engine.shut_down()
        self.kill()

    def _is_gone(self, other: OtherExecutor) -> bool:
        return other.machine == self.site.machine and not self._is_alive(other.pid)
