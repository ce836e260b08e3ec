"""What must be true of every saga after a history, whatever went wrong: read from its record alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

from workflows.amends.brakes.brake import BrakePoint
from workflows.amends.history import FINISHED, Status, saga_histories
from workflows.amends.history.events.compensations import StepCompensated
from workflows.amends.history.events.lifecycle import SagaCompensated, SagaCompensating, SagaCompleted
from workflows.amends.history.events.steps import StepBraked, StepEvent
from workflows.amends.history.events.waits import SignalReceived
from workflows.amends.history.saga_event import SagaEvent
from workflows.amends.ports.event_store import START
from workflows.amends.simulation.cluster.server.server import BRAKE_SECONDS
from workflows.amends.simulation.cluster.server.store import ClusterStore
from workflows.amends.simulation.cluster.virtual_time import run_at_once
from workflows.amends.simulation.memory.rows import MemorySagaRow


def record_problems(store: ClusterStore) -> Iterator[str]:
    """What is wrong with what is on record, in words; nothing if all is well."""
    yield from _of_streams(store)
    yield from _of_feed(store)
    for id, row in store.rows.items():
        history = store.saga_history(id)
        state, events = history.fold.state(), [event for _, event in history.events]
        if row.status not in FINISHED:
            yield f"{id} is {row.status}: it makes no progress ({row.reason or row.waiting_for})"
        elif state.status != row.status:
            yield f"{id}: its row says {row.status}, its history {state.status}"
        problems = (*_of_compensation(events), *_of_end(row.status, events), *_of_executions(row))
        yield from (f"{id}: {problem}" for problem in problems)


def brake_problems(store: ClusterStore) -> Iterator[str]:
    """Steps that began and ended while a brake held them for longer than a second.

    One that had come to its place before waits there until it knows the brakes, and begins after the lift.
    """
    for brake in store.brake_rows.values():
        begun, lift = brake.set_at + timedelta(seconds=BRAKE_SECONDS), store.lifted.get(brake.id)
        for id, row in store.rows.items():
            recorded = store.events.stream_events(saga_histories.stream(id))
            for stored, (_, event) in zip(recorded, store.saga_history(id).events, strict=True):
                if not isinstance(event, StepEvent) or isinstance(event, StepBraked) or event.started_at <= begun:
                    continue
                point = BrakePoint(row.name, row.version, event.step)
                if brake.holds(point) and (lift is None or stored.recorded_at < lift.at):
                    yield f"{id}: {event.step} began at {event.started_at}, while {brake.id} held it"


def _of_streams(store: ClusterStore) -> Iterator[str]:
    versions: dict[str, int] = {}
    for stored in store.events.stored:
        expected = versions[stored.stream] = versions.get(stored.stream, 0) + 1
        if stored.version != expected:
            yield f"{stored.stream} has version {stored.version} after {expected - 1}"


def _of_feed(store: ClusterStore) -> Iterator[str]:
    """The feed, page by page, has every event once, and each stream's in order."""
    read, after = [], START
    while page := run_at_once(store.events.feed(after, 50)):
        read += page
        after = page[-1].cursor
    if [stored.id for stored in read] != [stored.id for stored in store.events.stored]:
        yield "the feed has other events than the store, or in another order"
    if any(later.cursor <= earlier.cursor for earlier, later in pairwise(read)):
        yield "the feed goes back"


def _of_compensation(events: list[SagaEvent]) -> Iterator[str]:
    """Nothing is compensated before its step has settled, and the last that began is the first that is undone."""
    begun = next((number for number, event in enumerate(events) if isinstance(event, SagaCompensating)), len(events))
    step_ids: dict[tuple[str, int], int] = {}
    undone: list[int] = []
    for number, event in enumerate(events):
        if isinstance(event, StepEvent):
            step_ids[event.step, event.occurrence] = event.slot
            if number > begun:
                yield f"{event.step} settled after the saga had begun to compensate"
        elif isinstance(event, StepCompensated):
            if number < begun:
                yield f"{event.step} was compensated before the saga had begun to compensate"
            undone.append(step_ids.get((event.step, event.occurrence), -1))
    known = [step_id for step_id in undone if step_id >= 0]
    if known != sorted(known, reverse=True):
        yield f"compensations ran in the order {known} of their steps"
    if len(set(known)) < len(known):
        yield f"a step was compensated twice: {known}"


def _of_end(status: Status, events: list[SagaEvent]) -> Iterator[str]:
    ends = [event for event in events if isinstance(event, SagaCompleted | SagaCompensated)]
    wanted = SagaCompleted if status == "completed" else SagaCompensated
    if status in FINISHED and (not ends or not isinstance(ends[-1], wanted) or len(ends) > 2):
        yield f"it is {status}, and ended by {[type(end).__name__ for end in ends]}"


def _of_executions(row: MemorySagaRow) -> Iterator[str]:
    """One executor ran it at a time, each left it for a reason, and the last one as it was finished."""
    executions = row.executions
    for before, after in pairwise(executions):
        if before.ended_at is None or before.ended_at > after.began_at or after.number != before.number + 1:
            yield f"{after.executor} began to run it before {before.executor} had left it"
    if row.status in FINISHED and (not executions or executions[-1].ended_by != row.status):
        yield f"it is {row.status}, and who ran it last left it by {executions[-1].ended_by if executions else None}"


def received_payloads(store: ClusterStore, id: str, signal: str) -> list[object]:
    """The payloads of the signals of one name that a saga has on record."""
    events = (event for _, event in store.saga_history(id).events)
    return [each.payload for each in events if isinstance(each, SignalReceived) and each.signal == signal]
