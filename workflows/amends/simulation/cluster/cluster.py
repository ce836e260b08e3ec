"""A whole cluster in one thread: its servers, their store, their clients, and what goes wrong between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final

from workflows.amends.engine.history_writer import TURN_BACK
from workflows.amends.executor.engine import Options
from workflows.amends.history import FINISHED
from workflows.amends.saga import Saga
from workflows.amends.simulation.cluster.clients import Action, CancelAction, Clients, DbosToolAction
from workflows.amends.simulation.cluster.faults import (
    BrakeHold,
    CommitLoss,
    Fault,
    Faults,
    KillFault,
    NetworkCut,
    PauseFault,
    ShutDownFault,
)
from workflows.amends.simulation.cluster.network import FAIR, FaultTrap, Network
from workflows.amends.simulation.cluster.server.gateway import simulated_gateway
from workflows.amends.simulation.cluster.server.server import Server
from workflows.amends.simulation.cluster.server.store import EPOCH, ClusterStore
from workflows.amends.simulation.cluster.server.watch import CommitWatch
from workflows.amends.simulation.cluster.virtual_time import Timeline, VirtualLoop

LONG_SECONDS: Final = 30.0
"""A time that is longer is skipped if all sagas wait for it."""
LATEST_SECONDS: Final = 10.0
"""What was sent has arrived after so many seconds, or never will."""
LOOK_SECONDS: Final = 0.1
"""How often it is looked whether a history has come to its end."""


@dataclass
class Cluster:
    """The cluster of one history. `make` makes the sagas of a server, which reach other systems by its ServerGateways.

    `stored` makes the store, which tells the time of the timeline.
    """

    seed: int
    faults: Faults
    actions: Sequence[Action]
    stored: Callable[[Timeline], ClusterStore]
    make: Callable[[ServerGateways], Sequence[Saga[Any, Any]]]
    options: Options = Options()
    traced: bool = False
    """Whether the watch notes what happens."""
    timeline: Timeline = field(default_factory=Timeline)

    def __post_init__(self) -> None:
        self.network = Network(self.timeline, self.faults.weather)
        self.outside = VirtualLoop(self.timeline)
        self.store = self.stored(self.timeline)
        self.watch = CommitWatch(self.store, self.timeline, [] if self.traced else None)
        self.servers: list[Server] = []
        """Every server that there ever was; the newest ones in a place come later."""
        self._places: list[Server] = []
        self.clients = Clients(self.network, lambda: self._places, Random(f"{self.seed} clients"), self.watch.note)
        self._uses_dbos = any(isinstance(action, DbosToolAction) for action in self.actions)
        self.is_over = False
        """Whether nothing goes wrong any more."""
        lost_at = [fault.at for fault in self.faults.events if isinstance(fault, CommitLoss)]
        self._late_until = max(lost_at) + LATEST_SECONDS if lost_at else 0.0
        for place in range(len(self.faults.servers)):
            self._places.append(self._server(place))
        for fault in self.faults.events:
            self.timeline.at(fault.at, self._happens, fault)
            if isinstance(fault, CommitLoss):
                self.timeline.at(fault.at - fault.seconds, self._keep_copy)
        for action in self.actions:
            if isinstance(action, DbosToolAction):
                self.timeline.at(action.at, self._in_dbos, action)
            else:
                self.clients.perform(action)
        self.network.traps = {trap.number: trap for trap in self.faults.traps}
        self.network.caught = self._caught
        self.timeline.at(self.faults.over, self._end_faults)

    def run(self, until: Callable[[], bool], seconds: float) -> bool:
        """Let time pass until a condition is met, at most so many seconds after the faults; False if it never is.

        Whoever is paused then goes on for a moment.
        """
        last = self.faults.over + seconds
        while self.timeline.now < last and not until():
            last += self._skipped()
            self.timeline.run(min(self.timeline.now + LOOK_SECONDS, last))
        if not self.is_over:
            self._end_faults()
            self.timeline.run(self.timeline.now + LOOK_SECONDS)
        return until()

    def _skipped(self) -> float:
        """Skip a time in which all that is not finished waits for a time that is far away; returns how long it was.

        The servers stop before it, and others start after it.
        """
        left = [row for row in self.store.rows.values() if row.status not in FINISHED]
        times = [row.due_at for row in left if row.due_at]
        if self.clients.waiting or not times or any(row.status != "waiting" for row in left):
            return 0.0
        seconds = (min(times) - EPOCH).total_seconds() - self.timeline.now - 1.0
        if seconds < LONG_SECONDS:
            return 0.0
        self.watch.note(f"nothing happens for {seconds:.0f} s")
        for server in self._places:
            server.kill()
        self.timeline.skip(seconds)
        self._places = [self._server(place) for place in range(len(self._places))]
        return seconds

    def end(self, seconds: float) -> None:
        """End all servers, and let everything arrive that is still under way."""
        for server in self.servers:
            server.kill()
        self.timeline.run(self.timeline.now + seconds)

    def dispose(self) -> None:
        """Leave nothing behind."""
        for loop in (self.outside, self.clients.loop, *(server.loop for server in self.servers)):
            loop.dispose()

    @property
    def all_is_done(self) -> bool:
        """Whether every client was answered, and every saga is finished, forks that nobody has run yet included.

        What was sent before the store has lost something may bring back a saga that is lost: it has arrived by then.
        """
        if self.clients.waiting or self.timeline.now < self._late_until:
            return False
        rows = self.store.rows
        return all(row.status in FINISHED for row in rows.values()) and all(id in rows for id in self.store.workflows)

    def problems(self) -> list[str]:
        """What went wrong beside the record: commits that are not their owner's, and what asyncio complains of."""
        loops = (self.outside, self.clients.loop, *(server.loop for server in self.servers))
        said = [f"{each.get('message')}: {each.get('exception')!r}" for loop in loops for each in loop.errors]
        waiting = [f"{self.clients.waiting} clients were never answered"] if self.clients.waiting else []
        return [*self.watch.problems, *said, *waiting]

    # -- servers

    def _server(self, place: int) -> Server:
        pid, site = len(self.servers) + 1, self.faults.servers[place]
        site = replace(site, without=()) if self.is_over else site
        dice = Random(f"{self.seed} server {pid}")

        def sagas(server: Server) -> Sequence[Saga[Any, Any]]:
            return self.make(ServerGateways(server, self.outside))

        self.watch.note(f"server {pid} starts in place {place}")
        server = Server(
            pid, site, self.network, self.store, self.watch, self.options, sagas, self._is_alive, dice, self._uses_dbos
        )
        self.servers.append(server)
        return server

    def _is_alive(self, pid: int) -> bool:
        return not self.servers[pid - 1].loop.dead

    def _replace(self, place: int, after: float) -> None:
        gone = self._places[place]

        def again() -> None:
            if not gone.loop.dead:  # it still shuts down
                self.timeline.after(0.5, again)
            elif self._places[place] is gone:
                self._places[place] = self._server(place)

        self.timeline.after(after, again)

    # -- faults

    def _happens(self, fault: Fault) -> None:
        if self.is_over:  # sooner than was drawn: all was done
            return
        self.watch.note(f"{fault}")
        match fault:
            case KillFault():
                self._places[fault.server].kill()
                self._replace(fault.server, fault.again_after)
            case ShutDownFault():
                self._places[fault.server].shut_down()
                self._replace(fault.server, fault.again_after)
            case PauseFault():
                self._pause(self._places[fault.server].loop, fault.seconds)
            case NetworkCut():
                self.network.cut(fault.where, fault.at, fault.seconds)
            case CommitLoss():
                self._lose()
            case BrakeHold():
                self._hold(fault)

    def _hold(self, fault: BrakeHold) -> None:
        """An operator sets a brake in the store, and lifts it again."""
        id = self.store.hold(fault.scope, fault.starts, fault.compensations)
        self.timeline.after(fault.seconds, self._lift, id)

    def _lift(self, id: str) -> None:
        if not self.store.is_in_force(id):
            return
        self.watch.note(f"brake {id} is lifted")
        self.store.lift(id)

    def _keep_copy(self) -> None:
        """Keep what the store has now."""
        self._copy = deepcopy(vars(self.store), {id(self.store.clock): self.store.clock})

    def _lose(self) -> None:
        """The store has again what it had when that was kept, and every server hears of it."""
        vars(self.store).update(self._copy)
        for server in self._places:
            server.suspect_losses()

    def _caught(self, trap: FaultTrap, loop: VirtualLoop) -> None:
        self.watch.note(f"{trap}")
        if trap.cancels:
            self._cancel_one()
        place = next((place for place, server in enumerate(self._places) if server.loop is loop), None)
        if not trap.kills:
            self._pause(loop, trap.seconds)
        elif place is not None and not loop.dead:
            loop.kill()
            self._replace(place, trap.seconds)

    def _cancel_one(self) -> None:
        """Somebody wants the oldest saga cancelled that is not finished."""
        for id, row in self.store.rows.items():
            if row.status not in FINISHED and row.parent is None:
                self.clients.perform(CancelAction(self.timeline.now, id, row.name, "trapped"))
                return

    def _in_dbos(self, action: DbosToolAction) -> None:
        workflow = self.store.workflows.get(action.id)
        if workflow is None:
            return
        self.watch.note(f"{action}")
        match action.does:
            case "cancel":
                self.store.cancel_workflow(action.id)
            case "resume":
                self.store.resume_workflow(action.id)
            case "fork" if self.store.rows[action.id].status in FINISHED:  # a living one would lose its children to it
                known = workflow.checkpoints
                last = next((number for number in known if known[number].name == TURN_BACK), max(known, default=1))
                self.store.fork_workflow(action.id, f"{action.id} fork", last)
            case "fork" if not self.is_over:
                self.timeline.after(0.5, self._in_dbos, action)

    def _pause(self, loop: VirtualLoop, seconds: float) -> None:
        loop.pause()
        self.timeline.after(seconds, lambda: loop.resume() if not loop.dead else None)

    def _end_faults(self) -> None:
        """Everything works from now on, and every server is there again. Once is enough."""
        if self.is_over:
            return
        self.is_over = True
        self.watch.note("no more faults")
        self.network.clear()
        self.network.weather = FAIR
        for brake in self.store.brakes_in_force():
            self._lift(brake.id)
        for place, server in enumerate(self._places):
            if server.loop.paused:
                server.loop.resume()
            if server.site.without:
                server.shut_down()
            if server.loop.dead or server.site.without:
                self._places[place] = self._server(place)


@dataclass(frozen=True)
class ServerGateways:
    """What other systems are for the sagas of one server."""

    server: Server
    outside: VirtualLoop

    def to(self, target: Any, name: str, breaker: bool = True) -> Any:
        """Another system with this name; see `simulated_gateway`."""
        return simulated_gateway(target, name, self.server, self.outside, breaker)
