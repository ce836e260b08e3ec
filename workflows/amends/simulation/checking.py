"""Checks one saga in simulated clusters: whatever goes wrong, it finishes or is compensated, and leaves nothing behind.

    def test_an_order_is_whole_or_leaves_no_trace() -> None:
        check(lambda: PlaceOrder(FakeStock(), FakePayments(), FakeCouriers()), request)

The servers of these clusters run the engine as it is. Executors die at every commit and every call, and in between as
the seed says; they are paused, their clocks differ, requests and answers are lost, and fakes fail or answer late.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final, TypeVar

from domain.amends.aggregate import Aggregate
from workflows.amends.executor.engine import Options
from workflows.amends.history import SagaState
from workflows.amends.ports.event_store import load_event_json
from workflows.amends.saga import Saga
from workflows.amends.simulation.cluster.clients import Action, CancelAction, SignalAction, StartAction
from workflows.amends.simulation.cluster.cluster import Cluster, ServerGateways
from workflows.amends.simulation.cluster.dice import seeded_randomness
from workflows.amends.simulation.cluster.faults import Faults, draw_faults
from workflows.amends.simulation.cluster.invariants import record_problems
from workflows.amends.simulation.cluster.keys import CallLedger, with_recorded_calls
from workflows.amends.simulation.cluster.network import FaultTrap
from workflows.amends.simulation.cluster.operators import Operators
from workflows.amends.simulation.cluster.server.server import ServerSite
from workflows.amends.simulation.cluster.server.store import memory_store
from workflows.amends.simulation.cluster.shrinking import shrink, smaller_faults

S = TypeVar("S")
E = TypeVar("E")

ID: Final = "checked"
"""The id of the saga that is checked."""
BOUND_SECONDS: Final = 900.0
"""So long after the last fault it has come to its end, times in which it only waits not counted."""
LONG: Final = 1e6
"""So long traps are laid, in seconds: until everything has come to its end."""
NOTES: Final = 80
"""So much of what happened is shown of a history that fails."""
SPAN_SECONDS: Final = 5.0
"""So much time lies between two signals at most."""
FAIR: Final = Faults((ServerSite(), ServerSite("b")), over=0.1)
"""Two servers, and nothing that goes wrong."""
CANCELLED: Final = 0.3
"""Of the histories with faults in so many somebody wants the saga cancelled."""


@dataclass(frozen=True)
class History:
    """One history, once it has ended: how the saga stands, and the saga itself with the fakes that it was made with."""

    saga: Saga[Any, Any]
    state: SagaState
    cluster: Cluster

    def events(self, aggregate: Aggregate[S, E], key: str) -> list[E]:
        """The events of one aggregate, oldest first."""
        kept = self.cluster.store.events.stream_events(aggregate.stream(key))
        return [load_event_json(aggregate.vocabulary, stored.type, stored.data_json) for stored in kept]


@dataclass(frozen=True)
class CheckRun:
    """What is checked: `make` makes the saga, with new fakes, and after it those that it starts as children."""

    make: Callable[[], Saga[Any, Any] | Sequence[Saga[Any, Any]]]
    request: Any
    signals: Sequence[object]
    then: Callable[[History], object]

    def play(self, seed: int, faults: Faults, traced: bool = False) -> tuple[list[str], Cluster]:
        """Play one history; what is wrong with it."""
        made = self.make()
        sagas = [made] if isinstance(made, Saga) else list(made)
        books = CallLedger([type(saga) for saga in sagas])

        def on_server(reached: ServerGateways) -> list[Saga[Any, Any]]:
            return [with_recorded_calls(saga, reached, books) for saga in sagas]

        with seeded_randomness(seed), _quiet():
            actions = self._actions(Random(seed), sagas[0], faults.over)
            cluster = Cluster(seed, faults, actions, memory_store, on_server, Options(lease=2.0), traced)
            Operators(cluster, Random(seed)).start()
            try:
                cluster.run(lambda: cluster.all_is_done, BOUND_SECONDS)
                cluster.end(10.0)
                problems = [*cluster.problems(), *record_problems(cluster.store), *books.problems_of(cluster.store)]
                if not problems:
                    problems += self._own(History(sagas[0], cluster.store.saga_history(ID).fold.state(), cluster))
            finally:
                cluster.dispose()
        return problems, cluster

    def _actions(self, dice: Random, saga: Saga[Any, Any], over: float) -> list[Action]:
        """The saga is started, and is sent its signals in their order, some of them twice under one key."""
        made: list[Action] = [StartAction(0.0, ID, saga.definition.name, self.request)]
        at, span = 0.0, min(over, SPAN_SECONDS)
        for number, signal in enumerate(self.signals):
            at += dice.uniform(0.0, span)
            made += [
                SignalAction(at + 0.1 * again, ID, signal, f"signal {number}") for again in range(dice.choice((1, 2)))
            ]
        if dice.random() < CANCELLED and over > FAIR.over:
            made.append(CancelAction(dice.uniform(0.0, span), ID, saga.definition.name, "somebody changes their mind"))
        return made

    def _own(self, history: History) -> list[str]:
        try:
            self.then(history)
        except AssertionError as failed:
            return [f"what is asserted of it does not hold: {failed}"]
        return []


@contextmanager
def _quiet() -> Iterator[None]:
    """Inside, Amends logs nothing: the logs of hundreds of histories would bury what is wrong with one of them."""
    log = logging.getLogger("amends")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)


def _nothing(_: History) -> None:
    """Nothing more is asserted."""


def check(
    make: Callable[[], Saga[Any, Any] | Sequence[Saga[Any, Any]]],
    request: Any,
    *,
    signals: Sequence[object] = (),
    then: Callable[[History], object] = _nothing,
    seeds: int = 100,
    first: int = 0,
) -> None:
    """Play many histories of a saga, and raise AssertionError for the first one that ends wrongly, with its seed.

    `make` makes the saga with new fakes, and after it the sagas that it may start as children. `signals` are sent to it
    at any time. `then` asserts more of a history that has ended. Some histories have a crash at each commit and each
    call, one after the other; `seeds` more have faults of all kinds, drawn from the seeds that count from `first`.
    """
    checking = CheckRun(make, request, signals, then)
    for seed, faults in _histories(checking, seeds, first):
        problems, _ = checking.play(seed, faults)
        if problems:
            raise AssertionError(_report(checking, seed, faults))


def _histories(checking: CheckRun, seeds: int, first: int) -> Iterator[tuple[int, Faults]]:
    yield first, FAIR
    _, cluster = checking.play(first, FAIR)
    for number in range(1, cluster.network.moves + 1):
        for late, served in ((None, False), (0.0, False), (0.0, True)):
            yield first, replace(FAIR, traps=(FaultTrap(number, late, True, served, 0.5),), over=LONG)
    made = checking.make()
    ports = tuple(vars(made if isinstance(made, Saga) else made[0]))
    for seed in range(first, first + seeds):
        yield seed, draw_faults(Random(seed), ports)


def _report(checking: CheckRun, seed: int, faults: Faults) -> str:
    """What is wrong with a history, with as few faults as show it, and what happens in it."""
    least = shrink(faults, smaller_faults, lambda fewer: bool(checking.play(seed, fewer)[0]), 40)
    problems, cluster = checking.play(seed, least, traced=True)
    notes = (cluster.watch.notes or [])[-NOTES:]
    told = "\n".join((*problems, f"It happened with seed {seed}, and {least}:", *notes))
    return f"{told}\nThe same again: check(…, first={seed}, seeds=1)"
