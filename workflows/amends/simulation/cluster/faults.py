"""What goes wrong in a history, and when: drawn from its seed, and given up one after the other to find the least."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from workflows.amends.brakes.brake import BrakeScope, WhenStarted
from workflows.amends.simulation.cluster.network import FAIR, FaultTrap, NetworkConditions
from workflows.amends.simulation.cluster.server.server import STORE, ServerSite


@dataclass(frozen=True)
class KillFault:
    """A server is killed; another one is started in its place."""

    at: float
    server: int
    again_after: float


@dataclass(frozen=True)
class ShutDownFault:
    """A server is asked to stop, and hands over; another one is started in its place."""

    at: float
    server: int
    again_after: float


@dataclass(frozen=True)
class PauseFault:
    """Nothing of a server runs for a while, as by SIGSTOP, or by the collection of garbage."""

    at: float
    server: int
    seconds: float


@dataclass(frozen=True)
class NetworkCut:
    """Nobody gets through to the store, or to another system, for a while."""

    at: float
    seconds: float
    where: str


@dataclass(frozen=True)
class CommitLoss:
    """The store loses what was committed in the last so many seconds, as a failover without replication does."""

    at: float
    seconds: float


@dataclass(frozen=True)
class BrakeHold:
    """An operator sets a brake, and lifts it after a while, at the latest when no more faults happen."""

    at: float
    seconds: float
    scope: BrakeScope
    starts: WhenStarted = "queue"
    compensations: bool = False


Fault = KillFault | ShutDownFault | PauseFault | NetworkCut | CommitLoss | BrakeHold

BRAKES: Final = 0.25
"""In so many histories operators set brakes."""
LOSSES: Final = 0.03
"""Of so many histories the store loses commits."""
LONGEST: Final = 6.0
"""How long faults last at most, in seconds of a history."""


@dataclass(frozen=True)
class Faults:
    """The faults of one history: its servers, the weather and what happens to them, until `over`; brakes too."""

    servers: tuple[ServerSite, ...] = (ServerSite(),)
    weather: NetworkConditions = FAIR
    events: tuple[Fault, ...] = ()
    traps: tuple[FaultTrap, ...] = ()
    over: float = 0.0


def draw_faults(
    dice: Random,
    providers: tuple[str, ...] = (),
    sagas: tuple[str, ...] = (),
    losses: bool = False,
    steps: tuple[str, ...] = (),
) -> Faults:
    """Faults of all kinds, from none to many. Some servers have no code for some of these sagas, until faults end.

    With `losses` some stores lose commits: then nothing can be said of what was done in the time that they have lost.
    """
    over = dice.uniform(1.0, LONGEST)
    servers = tuple(_site(dice, sagas) for _ in range(dice.choice((1, 2, 2, 2, 2, 3))))
    events = tuple(_fault(dice, len(servers), over, providers) for _ in range(dice.choice((0, 1, 1, 2, 2, 3, 5))))
    traps = tuple(_trap(dice) for _ in range(dice.choice((0, 1, 1, 2, 2, 3))))
    if losses and dice.random() < LOSSES:
        events = (*events, CommitLoss(dice.uniform(0.5, over), dice.choice((0.01, 0.1, 1.0)) * dice.random()))
    if dice.random() < BRAKES:
        brakes = (_brake(dice, over, providers, sagas, steps) for _ in range(dice.choice((1, 1, 2, 3))))
        events = (*events, *(each for each in brakes if each))
    return Faults(servers, _weather(dice), tuple(sorted(events, key=lambda fault: fault.at)), traps, over)


def _brake(
    dice: Random, over: float, providers: tuple[str, ...], sagas: tuple[str, ...], steps: tuple[str, ...]
) -> BrakeHold | None:
    """A brake on some of what there is; None where a scope names nothing."""

    def one_of(names: tuple[str, ...], likely: float) -> str | None:
        return dice.choice(names) if names and dice.random() < likely else None

    name, step, provider = one_of(sagas, 0.6), one_of(steps, 0.3), one_of(providers, 0.3)
    scope = BrakeScope(name, 1 if name and dice.random() < 0.3 else None, step, provider)
    starts: WhenStarted = "refuse" if scope.holds_starts and dice.random() < 0.3 else "queue"
    made = BrakeHold(dice.uniform(0, over), dice.choice((0.3, 3.0, 6.0)), scope, starts, dice.random() < 0.4)
    return made if scope != BrakeScope() else None


def _trap(dice: Random) -> FaultTrap:
    late = dice.choice((None, 0.0, 0.02, 1.0, 4.0))
    late = None if late is None else late * dice.uniform(0.3, 1.0)
    seconds = dice.choice((0.1, 3.0, 5.0)) * dice.uniform(0.3, 1.5)
    return FaultTrap(dice.randint(1, 25), late, dice.random() < 0.5, dice.random() < 0.4, seconds, dice.random() < 0.3)


def _site(dice: Random, sagas: tuple[str, ...]) -> ServerSite:
    skew = dice.choice((0.0, 0.0, dice.uniform(-30, 30)))
    without = (dice.choice(sagas),) if sagas and dice.random() < 0.1 else ()
    return ServerSite(dice.choice("aab"), 1.0 + dice.choice((0.0, dice.uniform(-0.002, 0.002))), skew, without)


def _weather(dice: Random) -> NetworkConditions:
    if dice.random() < 0.2:
        return FAIR

    def often(most: float) -> float:
        return dice.choice((0.0, dice.uniform(0, most)))

    return NetworkConditions(often(0.1), often(0.1), often(0.1), often(0.1), dice.choice((0.2, 2.0, 4.0)), often(0.25))


def _fault(dice: Random, servers: int, over: float, providers: tuple[str, ...]) -> Fault:
    at, server = dice.uniform(0, over), dice.randrange(servers)
    match dice.choice(("kill", "kill", "kill", "stop", "pause", "pause", "cut", "cut")):
        case "kill":
            return KillFault(at, server, dice.uniform(0, 3))
        case "stop":
            return ShutDownFault(at, server, dice.uniform(0, 3))
        case "pause":
            return PauseFault(at, server, dice.choice((0.1, 2.0, 5.0)) * dice.uniform(0.5, 1.5))
        case _:
            return NetworkCut(
                at, dice.choice((0.3, 2.0, 5.0)) * dice.uniform(0.5, 1.5), dice.choice((STORE, *providers, *providers))
            )
