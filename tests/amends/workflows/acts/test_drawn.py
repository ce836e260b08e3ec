"""What a dry run of an act says is what the act then leads to, over drawn sagas at drawn points, and changed code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest

from domain.amends.errors import AmendsError
from domain.amends.event import Cause
from tests.amends.workflows.acts.trips import Approved, BookInsurance, BookNights, Faults, Trip, drawn_faults
from tests.amends.workflows.compatibility import families, sales
from tests.amends.workflows.compatibility.recorded import CALLED, code_at_hand, parked_at, recordings
from workflows.amends.acts.dry_run import DryRun
from workflows.amends.acts.dry_runs import DryRuns
from workflows.amends.acts.saga_act import ActName, SagaAct
from workflows.amends.client import SagaClient
from workflows.amends.history import (
    ChildCompensationRequested,
    SagaStuck,
    SagaWaiting,
    StepCompensated,
    StepCompleted,
    StepSkipped,
    WaitEnded,
)
from workflows.amends.history.events.steps import StepEvent
from workflows.amends.ports.recordings import Recording
from workflows.amends.saga import Saga
from workflows.amends.simulation.simulation import Simulation

SEED, MANY = 21, 250
ACTS: tuple[ActName, ...] = ("retry", "skip", "resolve", "cancel", "signal")


class MemoryRecordings:
    """The recordings of a simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    async def of_any_status(self, ids: Sequence[str]) -> Sequence[Recording]:
        return [each for each in recordings(self._simulation.store) if each.id in ids]


@dataclass(frozen=True)
class Parked:
    """Sagas that were left somewhere: the first is the parent."""

    simulation: Simulation
    sagas: list[Saga[Any, Any]]
    given: Any
    faults: Faults

    @property
    def client(self) -> SagaClient:
        return SagaClient(self.sagas, self.simulation.store, lambda: self.simulation.clock)

    @property
    def dry_runs(self) -> DryRuns:
        return DryRuns(self.client, MemoryRecordings(self.simulation), code_at_hand(self.simulation, *self.sagas))

    async def act(self, id: str, act: SagaAct) -> None:
        """Do it."""
        row = self.simulation.store.rows[id]
        match act.name:
            case "cancel":
                await self.client.cancel(id, row.name, row.version, act.reason, Cause())
            case "signal":
                await self.client.signal(id, str(act.signal), act.payload, Cause())
            case "retry" | "skip" | "resolve":
                await self.client.handle_stuck(id, act.name, act.reason, Cause(), act.result)


async def drawn(dice: Random) -> Parked | None:
    """Some sagas at some point; None where drawn changes of code do not go together."""
    if dice.random() < 0.7:
        faults = drawn_faults(dice)
        sagas: list[Saga[Any, Any]] = [BookNights(faults), BookInsurance(faults)]
        trip = Trip(dice.randrange(4), dice.random() < 0.5)
        told = [Approved("somebody")] if dice.random() < 0.5 else []
        point = dice.choice((dice.randint(1, 12), 99))
        return Parked(await parked_at(point, sagas[0], vars(trip), told, sagas[1:]), sagas, trip, faults)
    about = dice.choice((sales, families))
    changes = dice.sample(sorted(about.CHANGES), dice.choice((0, 1, 2)))
    try:
        changed: Any = about.changed(*changes)
    except Exception:  # no code that can be imported
        return None
    after = changed if isinstance(changed, list) else [changed]
    if about is sales:
        given, signals, point = dice.choice(sales.PARKED)
        simulation = await parked_at(point, sales.changed(), given, signals)
    else:
        given, (before, child) = dict[str, Any](families.GIVEN), families.changed()
        simulation = await parked_at(dice.choice(families.POINTS), before, given, children=[child])
    simulation.sagas = after
    return Parked(simulation, after, given, Faults())


def drawn_act(dice: Random, parked: Parked, id: str) -> SagaAct:
    """An act; one that a saga's status does not allow only now and then."""
    stuck = parked.simulation.store.rows[id].status == "stuck"
    name = dice.choice(ACTS if dice.random() < 0.1 else ACTS[:4] if stuck else ACTS[3:])
    act = SagaAct(name, "as drawn")
    if name == "signal":
        return replace(act, signal="dry-run-approved", payload={"by": "somebody"})
    return replace(act, result=dice.choice((None, 1, "T1"))) if name == "resolve" else act


async def test_a_dry_run_says_what_the_act_then_leads_to() -> None:
    dice, seen, refused = Random(SEED), Counter[tuple[str, str]](), 0
    while seen.total() < MANY:
        if (parked := await drawn(dice)) is None:
            continue
        ids = [id for id, row in parked.simulation.store.rows.items() if row.finished_at is None]
        if not ids:
            continue
        id, before = dice.choice(ids), as_it_is(parked)
        act = drawn_act(dice, parked, id)
        try:
            said = await parked.dry_runs.of(id, act)
        except AmendsError as error:
            refused += 1
            assert as_it_is(parked) == before
            with pytest.raises(type(error), match=f"^{re.escape(str(error))}$"):
                await parked.act(id, act)
            continue
        assert as_it_is(parked) == before
        if dice.random() < 0.5:
            parked.faults.errors.clear()
        await follow(parked, id, act, said)
        seen[act.name, said.leads_to] += 1
    assert refused > 5
    for wanted in ("goes-on", "compensated", "waiting", "stuck", "stranded", "stays"):
        assert any(leads_to == wanted for _, leads_to in seen), (wanted, seen)


def as_it_is(parked: Parked) -> Any:
    """All that an act could change."""
    store = parked.simulation.store
    rows = {id: (row.status, row.cancel_reason, row.workflow.status) for id, row in store.rows.items()}
    versions = {id: store.saga_history(id).replay.version for id in store.rows}
    return rows, versions, parked.simulation.commits, list(parked.faults.called), len(CALLED)


def is_known(event: object) -> bool:
    """Whether an event says what an operator has decided, or what a child has told before, and nothing new."""
    if isinstance(event, StepCompleted):
        return event.attempts == 0 or event.kind == "child"
    return isinstance(event, StepSkipped)


async def follow(parked: Parked, id: str, act: SagaAct, said: DryRun) -> None:
    """Do what was tried out, let the sagas go on, and compare."""
    simulation = parked.simulation
    count = len(simulation.history(id))
    status = simulation.store.rows[id].status
    await parked.act(id, act)
    if said.leads_to == "stays":
        assert (simulation.store.rows[id].status, simulation.store.rows[id].is_queued) == (status, False)
        return
    await simulation.run(parked.sagas[0], parked.given)
    happened = [event for _, event in simulation.history(id)][count + 1 :]
    status, about = simulation.store.rows[id].status, (parked.given, act, said, happened)
    undone = [
        (each.step, each.occurrence, each.compensation)
        for each in happened
        if isinstance(each, StepCompensated) and each.by == "compensation"
    ]
    planned = [(each.step, each.occurrence, each.compensation) for each in said.next if each.compensation]
    told = next((each for each in happened if isinstance(each, StepEvent | SagaStuck) and not is_known(each)), None)
    match said.leads_to:
        case "compensated":
            assert undone == planned[: len(undone)], about
            others = [row.status for row in simulation.store.rows.values() if row.id != id]
            if status == "waiting":  # for a child, which is to be undone and cannot be
                assert isinstance(happened[-1], ChildCompensationRequested), about
                assert {"stuck", "stranded"} & {*others}, (about, others)
            else:
                assert status == "compensated" if undone == planned else status in ("stuck", "compensating"), about
        case "goes-on":
            names = {(each.step, each.occurrence) for each in said.next}
            assert (getattr(told, "step", None), getattr(told, "occurrence", 1)) in names, about
        case "completed":
            assert status == "completed", about
        case "stranded":
            assert status == "stranded", about
            assert (simulation.store.rows[id].reason or "").rstrip(".") in said.until, about
        case "stuck":
            assert isinstance(told, SagaStuck), about
            assert told.reason.rstrip(".") in said.until, about
        case "waiting":
            assert said.next == (), about
            waits = [each for each in happened if isinstance(each, SagaWaiting | WaitEnded | SagaStuck)]
            assert not waits or not isinstance(waits[0], SagaStuck), about
        case other:
            raise AssertionError(other)
