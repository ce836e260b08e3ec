"""Commits of executions, of every kind that the engine makes, and some that it never should."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from domain.amends.event import Cause
from tests.amends.business.account import MoneyDeposited
from tests.amends.contracts.differential.draw import PROVIDERS, SIGNALS, STEPS, TYPES, Draw, Operation
from tests.amends.contracts.differential.operations import operation
from tests.amends.contracts.differential.sides import Side
from tests.amends.contracts.saga_contract import Counted, tallies
from workflows.amends.history import (
    CancelRequested,
    Problem,
    SagaCompensated,
    SagaCompensating,
    SagaCompleted,
    SagaStuck,
    SagaWaiting,
    StepCompensated,
    StepCompleted,
    saga_histories,
)
from workflows.amends.history.replay_state import Checkpoint
from workflows.amends.ports.event_store import NewEvent, new_business_event
from workflows.amends.ports.execution_log import CompensateChild, StatusChange, StepCommit, StreamMoved
from workflows.amends.simulation.memory.rows import MemorySagaRow


def owned(draw: Draw) -> MemorySagaRow | None:
    """A saga that somebody runs and that is not finished."""
    return draw.row(lambda row: row.owner is not None and row.finished_at is None)


def commit(
    draw: Draw, name: str, row: MemorySagaRow, events: Sequence[NewEvent], owner: str | None = None, **more: Any
) -> Operation:
    """A commit of the execution that owns the saga; sometimes it says which versions and events it goes on from."""
    stream = saga_histories.stream(row.id)
    if "expected" not in more and draw.once_in(2):
        more["expected"] = {stream: draw.store.events.version(stream)}
    if "after" not in more and draw.once_in(3):
        known = [id for id in draw.drawn if draw.store.events.event_by_id(id)]
        more["after"] = frozenset(known[-2:])
    made = StepCommit(events, **more)
    return draw.remember(Operation.of(name, "sagas.commit", row.id, owner or row.owner or "nobody", made))


def done(draw: Draw, row: MemorySagaRow, slot: int) -> NewEvent:
    step = draw.random.choice(STEPS)
    return draw.event(row.id, StepCompleted(step, 1, "step", slot, "digest", draw.now, 1, draw.value()))


def checkpoint(draw: Draw, step_id: int) -> Checkpoint:
    began = draw.now - timedelta(milliseconds=draw.random.randrange(9000))
    error = '{"name": "declined"}' if draw.once_in(5) else None
    output = None if error else draw.random.choice(["null", '"done"', "[1, 2]"])
    return Checkpoint(step_id, draw.random.choice(STEPS), output, error, began, draw.now)


def next_step(row: MemorySagaRow) -> int:
    return max(row.checkpoints, default=0) + 1


@operation(10, "success", "StreamMoved")
def commit_of_a_step(draw: Draw) -> Operation | None:
    if (row := owned(draw)) is None:
        return None
    step_id, events, more = next_step(row), list[NewEvent](), dict[str, Any]()
    events.append(done(draw, row, step_id))
    if draw.once_in(3):
        events.append(
            new_business_event("account-1", MoneyDeposited(draw.number()), Cause(workflow_id=row.id), draw.id())
        )
        more["expected"] = {"account-1": draw.store.events.version("account-1") + draw.random.choice([0, 0, 1])}
    if draw.once_in(5):
        more["expected"] = {saga_histories.stream(row.id): 99, "account-10": 3, "b": 1}
    return commit(draw, "commit of a step", row, events, checkpoint=checkpoint(draw, step_id), **more)


@operation(1)
def commit_of_nothing(draw: Draw) -> Operation | None:
    row = owned(draw)
    more: dict[str, Any] = {"suspend": True, "settled": True} if draw.once_in(2) else {}
    return None if row is None else commit(draw, "commit of nothing", row, [], **more)


@operation(3, "Fenced", "SagaMissing")
def commit_of_somebody_else(draw: Draw) -> Operation | None:
    row = draw.row()
    if row is None:
        return None
    if draw.once_in(3):
        row = replace(row, id=f"s-{draw.random.randrange(10**6, 10**7)}")
    return commit(draw, "commit of somebody else", row, [done(draw, row, 1)], "nobody", expected={}, after=frozenset())


@operation(3, "ForeignStep")
def commit_under_a_taken_number(draw: Draw) -> Operation | None:
    row = draw.row(lambda row: row.owner is not None and bool(row.checkpoints))
    if row is None:
        return None
    taken = checkpoint(draw, min(row.checkpoints))
    return commit(draw, "commit under a taken number", row, [done(draw, row, 1)], checkpoint=taken)


@operation(1, "RecordLost")
def commit_after_what_is_gone(draw: Draw) -> Operation | None:
    row = owned(draw)
    gone = frozenset([draw.id()])
    return None if row is None else commit(draw, "commit after what is gone", row, [done(draw, row, 1)], after=gone)


@operation(1, "Conflict")
def commit_with_a_known_event(draw: Draw) -> Operation | None:
    """Its first event is new, and another one stands already: no execution does so."""
    row, known = owned(draw), draw.one_of(draw.appended)
    if row is None or known is None:
        return None
    return commit(
        draw, "commit with a known event", row, [done(draw, row, 1), known], checkpoint=checkpoint(draw, next_step(row))
    )


@operation(6)
def commit_of_a_wait(draw: Draw) -> Operation | None:
    if (row := owned(draw)) is None:
        return None
    compensating, provider = row.status == "compensating", draw.random.choice([None, None, *PROVIDERS])
    due = draw.now + timedelta(milliseconds=draw.number() * 7) if draw.once_in(2) else None
    children = [f"child {each.id}" for each in draw.store.rows.values() if each.parent == row.id]
    undone = [f"undone {each.id}" for each in draw.store.rows.values() if each.parent == row.id]
    signal = None if provider else draw.one_of([*SIGNALS, *(undone if compensating else children)])
    status = row.status if provider or compensating else "waiting"
    since = draw.now if provider else None
    reason = f"reason {draw.number()}" if draw.once_in(3) else None
    cause = draw.failure_cause(row, "provider", provider) if provider else None
    change = StatusChange(status, reason, signal, due, provider, since, cause)
    event = draw.event(row.id, SagaWaiting(next_step(row), signal, due))
    return commit(draw, "commit of a wait", row, [event], change=change, suspend=True, settled=draw.once_in(2))


@operation(3)
def commit_of_getting_stuck(draw: Draw) -> Operation | None:
    if (row := owned(draw)) is None:
        return None
    stuck = SagaStuck("why", 3, "charge", attempts=draw.number())
    change = StatusChange("stuck", "why", cause=draw.failure_cause(row, "stuck"))
    return commit(draw, "commit of getting stuck", row, [draw.event(row.id, stuck)], change=change, suspend=True)


@operation(3)
def commit_of_having_no_code(draw: Draw) -> Operation | None:
    if (row := owned(draw)) is None:
        return None
    change = StatusChange("stranded", "no code", cause=draw.failure_cause(row, "stranded"))
    return commit(draw, "commit of having no code", row, [done(draw, row, 9)], change=change, suspend=True)


@operation(3)
def commit_of_turning_back(draw: Draw) -> Operation | None:
    if (row := owned(draw)) is None:
        return None
    error = Problem("declined", "no", {"sku": draw.number()}) if draw.once_in(2) else None
    cause = draw.failure_cause(row, "compensating")
    change = StatusChange("compensating", draw.random.choice(["no", None]), cause=cause)
    event = draw.event(row.id, SagaCompensating("no", error, (draw.number(),)))
    return commit(draw, "commit of turning back", row, [event], change=change)


@operation(2)
def commit_of_a_compensation(draw: Draw) -> Operation | None:
    if (row := owned(draw)) is None:
        return None
    event = draw.event(row.id, StepCompensated(draw.random.choice(STEPS), 1, "back", next_step(row), 1))
    return commit(draw, "commit of a compensation", row, [event], checkpoint=checkpoint(draw, next_step(row)))


@operation(3)
def commit_of_an_end(draw: Draw) -> Operation | None:
    if (row := owned(draw)) is None:
        return None
    ended: object = SagaCompensated("no") if row.status == "compensating" else SagaCompleted(draw.value())
    change = StatusChange("compensated", "no") if row.status == "compensating" else StatusChange("completed")
    return commit(draw, "commit of an end", row, [draw.event(row.id, ended)], change=change)


@operation(4, "success", "ChildIdTaken")
def commit_of_a_child(draw: Draw) -> Operation | None:
    if (row := owned(draw)) is None:
        return None
    known = draw.row(lambda each: each.id != row.id) if draw.once_in(3) else None
    deadline = timedelta(seconds=draw.number()) if draw.once_in(3) else None
    start = draw.start(known.id if known else f"{row.id}.{draw.number()}", deadline=deadline)
    if known:
        start = replace(start, request=draw.random.choice([known.request, f"other {draw.number()}"]))
    step_id = next_step(row)
    return commit(
        draw, "commit of a child", row, [done(draw, row, step_id)], checkpoint=checkpoint(draw, step_id), start=start
    )


@operation(4)
def commit_of_a_recall(draw: Draw) -> Operation | None:
    if (row := owned(draw)) is None:
        return None
    child = draw.row(lambda each: each.parent == row.id) or draw.row(lambda each: each.id != row.id)
    id = child.id if child and not draw.once_in(9) else "s-0"
    recall = CompensateChild(id, f"because {draw.number()}", draw.event(id, CancelRequested("no")))
    return commit(draw, "commit of a recall", row, [done(draw, row, 9)], recall=recall)


@operation(3)
def a_child_and_its_end(draw: Draw) -> Operation | None:
    """A child is started, claimed and ended, and then mostly undone, once or twice: drawn one by one that is rare."""
    if (row := owned(draw)) is None:
        return None
    parent, by, child, executor = row.id, row.owner or "", f"{row.id}.{draw.number()}", f"e-{draw.number()}"
    start, step_id, refused = draw.start(child), next_step(row), draw.once_in(2)
    begun = StepCommit([done(draw, row, step_id)], start=start)
    back = StepCommit([draw.event(child, SagaCompensating("no"))], change=StatusChange("compensating", "no"))
    undone = StepCommit([draw.event(child, SagaCompensated("no"))], change=StatusChange("compensated", "no"))
    completed = StepCommit([draw.event(child, SagaCompleted(draw.value()))], change=StatusChange("completed"))
    recalls = [CompensateChild(child, "no", draw.event(child, CancelRequested("no"))) for _ in range(draw.number() % 3)]
    types = [f"{name}:{version}" for name, version in TYPES]

    async def call(side: Side) -> Any:
        await side.sagas.commit(parent, by, begun)
        await side.sagas.register_executor(executor, "here", 1, 1.5, types, 600.0)
        found = [await side.sagas.claim(executor, f"first of {executor}", types, 1000)]
        for each in [back, undone] if refused else [completed]:
            await side.sagas.commit(child, f"first of {executor}", each)
        for recall in recalls:
            await side.sagas.commit(parent, by, StepCommit([], recall=recall))
        if recalls and not refused:
            found.append(await side.sagas.claim(executor, f"second of {executor}", types, 1000))
            await side.sagas.commit(child, f"second of {executor}", back)
            await side.sagas.commit(child, f"second of {executor}", undone)
        return [sorted(each.id for each in claimed) for claimed in found]

    return Operation("a child and its end", repr((parent, by, child, refused, len(recalls))), call)


@operation(3, "success", "StreamMoved")
def transaction(draw: Draw) -> Operation | None:
    """A step that reads and writes a stream of the business in one transaction."""
    if (row := owned(draw)) is None:
        return None
    id, owner, step_id, late = row.id, row.owner or "", next_step(row), draw.once_in(3)
    counted = new_business_event("tally-1", Counted(draw.number()), Cause(workflow_id=id), draw.id())
    events, known = [done(draw, row, step_id), counted], checkpoint(draw, step_id)

    async def call(side: Side) -> Any:
        async with side.sagas.transaction(id, owner) as unit:
            total, version = await unit.load(tallies, "1")
            done = await unit.commit(StepCommit(events, {"tally-1": version + late}, known))
            return done if isinstance(done, StreamMoved) else (done, total, version)

    return Operation("transaction", repr((id, owner, events, known, late)), call, "sagas.transaction")


@operation(4)
def the_same_again(draw: Draw) -> Operation | None:
    """Something is sent again, as if its answer had been lost."""
    before = draw.one_of(draw.sent)
    return before and replace(before, name="the same again", told=f"{before.name}: {before.told}")
