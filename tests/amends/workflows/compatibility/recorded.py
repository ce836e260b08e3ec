"""Sagas that are parked in memory where an executor died or where they wait, and their recordings."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from itertools import count
from types import ModuleType
from typing import Any, Final

from domain.amends.errors import Refusal
from domain.amends.event import Cause
from workflows.amends.client import SagaClient
from workflows.amends.compatibility.replay_log import CodeAtHand
from workflows.amends.ports.execution_log import SagaIdentity
from workflows.amends.ports.recordings import UNFINISHED, Recording
from workflows.amends.saga import Saga, signal
from workflows.amends.simulation.memory.sagas import MemorySagas
from workflows.amends.simulation.simulation import ID, Simulation
from workflows.amends.values.codec import parse_json

NAME: Final = "tests.amends.workflows.compatibility.deployed"


class OutOfFunds(Refusal, name="out-of-funds"):
    """Out of funds."""


_numbers = count(1)
CALLED: list[str] = []
"""The steps and compensations whose code was run."""


class NothingToSend(Refusal, name="nothing-to-send"):
    """Nothing to send."""


@signal("pack-now")
class PackNow:
    by: str


@signal("release-goods")
class ReleaseGoods:
    by: str


def deployed(source: str, *sagas: str) -> list[Saga[Any, Any]]:
    """These sagas of a module of its own with this source; what is recorded names nothing of the module."""
    name = f"{NAME}_{next(_numbers)}"
    module = sys.modules[name] = ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
    return [getattr(module, name)() for name in sagas]


class NotTogether(Exception):
    """One change of the code leaves nothing of what another one changes, or no code that can be imported."""


def changed_source(source: str, changes: Iterable[Sequence[tuple[str, str]]]) -> str:
    """A source after changes, each of which replaces some texts. Raises NotTogether."""
    for change in changes:
        for before, after in change:
            if before not in source:
                raise NotTogether(before)
            source = source.replace(before, after)
    return source


class _Parked(Exception):
    """The executor that ran a saga is dead, and nobody goes on with it."""


async def parked_at(
    point: int,
    saga: Saga[Any, Any],
    given: Any,
    signals: Sequence[object] = (),
    children: Sequence[Saga[Any, Any]] = (),
) -> Simulation:
    """A saga whose executor died before its commit with this number, counted from 1; it may have ended earlier.

    Commits of its children are counted too.
    """
    simulation = Simulation(children)

    def next_life() -> Saga[Any, Any]:
        if simulation.store.is_dead:
            raise _Parked
        return saga

    simulation.crash(at=point)
    try:
        await simulation.run(next_life, saga.definition.input(**given), signals=signals)
    except _Parked:
        simulation.store.rows[ID].workflow.enqueue(simulation.clock)
    return simulation


def recordings(store: MemorySagas) -> Iterator[Recording]:
    """What is recorded of all unfinished sagas, in the order of their ids."""
    for id, row in sorted(store.rows.items()):
        if row.status in UNFINISHED:
            inputs = parse_json(row.workflow.inputs)
            started = datetime.fromisoformat(inputs["namedArgs"]["started"])
            identity = SagaIdentity(id, row.root, Cause(correlation_id=id, workflow_id=id), row.parent)
            replay = replace(store.replay_state(id), recovered=not row.settled)
            (given,) = inputs["positionalArgs"]
            yield Recording(row.name, row.version, identity, row.status, given, started, replay)


class MemoryRecordings:
    """Recordings in pages of a few."""

    def __init__(self, found: Sequence[Recording], rows: int) -> None:
        self._found, self._rows = found, rows

    async def page(self, after: str) -> Sequence[Recording]:
        return [each for each in self._found if each.id > after][: self._rows]


@cache
def _client(sagas: tuple[Saga[Any, Any], ...]) -> SagaClient:
    return SagaClient(sagas, MemorySagas())


def code_at_hand(simulation: Simulation, *sagas: Saga[Any, Any]) -> CodeAtHand:
    """What a replay of these sagas asks of its surroundings, in the time of a simulation."""
    return CodeAtHand(_client(sagas).child_start_request, lambda: simulation.clock, argument_shapes=simulation.shapes)
