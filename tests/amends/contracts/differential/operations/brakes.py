"""Brakes: set and lifted, and what waits at them."""

from __future__ import annotations

from datetime import timedelta

from tests.amends.contracts.differential.draw import PROVIDERS, STEPS, Draw, Operation
from tests.amends.contracts.differential.operations import operation
from tests.amends.contracts.differential.operations.commits import commit, next_step, owned
from workflows.amends.brakes.brake import Brake, BrakeScope
from workflows.amends.brakes.events import BrakeLifted, BrakeSet, brake_stream
from workflows.amends.causes.failure_cause import FailureCause
from workflows.amends.history import StepBraked
from workflows.amends.ports.event_store import new_amends_event
from workflows.amends.ports.execution_log import StatusChange


@operation(3)
def set_brake(draw: Draw) -> Operation | None:
    if len(draw.store.brakes_in_force()) > 2:
        return None
    name, version = draw.saga_type()
    whole = not draw.once_in(3)
    scope = BrakeScope(
        name if not draw.once_in(6) else None,
        version,
        None if whole else draw.random.choice(STEPS),
        None if whole or draw.once_in(2) else draw.random.choice(PROVIDERS),
    )
    id, starts = f"b-{draw.number()}", "refuse" if whole and draw.once_in(4) else "queue"
    brake = Brake(id, scope, "refuse" if starts == "refuse" else "queue", draw.once_in(2), "why", "me", draw.now)
    told = BrakeSet(id, scope, brake.starts, brake.compensations, brake.reason)
    event = new_amends_event(brake_stream(id), told, draw.cause(), draw.id())
    return draw.remember(Operation.of("set brake", "brakes.set_brake", brake, event, draw.answer()))


@operation(3, "success", "NotFound")
def lift_brake(draw: Draw) -> Operation | None:
    id = draw.one_of([*draw.store.brake_rows]) or "b-0" if not draw.once_in(20) else "b-0"
    if in_force := draw.one_of(draw.store.brakes_in_force()):
        id = in_force.id if not draw.once_in(4) else id
    event = new_amends_event(brake_stream(id), BrakeLifted(id, "well"), draw.cause(), draw.id())
    return draw.remember(Operation.of("lift brake", "brakes.lift_brake", id, "them", "well", event))


@operation()
def brakes(draw: Draw) -> Operation | None:
    return Operation.of("brakes", "sagas.brakes")


@operation()
def lift_of(draw: Draw) -> Operation | None:
    return Operation.of("lift of", "brakes.lift_of", draw.one_of([*draw.store.brake_rows]) or "b-0")


@operation()
def knows_sagas(draw: Draw) -> Operation | None:
    name, version = draw.saga_type()
    given = (draw.random.choice([name, None, "another"]), draw.random.choice([version, None, 3]))
    return Operation.of("knows sagas", "brakes.knows_sagas", *given)


@operation(4)
def release_held(draw: Draw) -> Operation | None:
    return Operation.of("release held", "sagas.release_held", draw.random.choice([1, 2, 40]))


@operation(4)
def commit_of_a_wait_at_a_brake(draw: Draw) -> Operation | None:
    """Mostly at one in force; at one that was lifted meanwhile, or was lost, it goes on at once."""
    if (row := owned(draw)) is None:
        return None
    known = draw.one_of(draw.store.brakes_in_force()) or draw.one_of(draw.store.brake_rows.values())
    id = known.id if known and not draw.once_in(6) else draw.one_of(draw.store.lifted) or "b-0"
    due = draw.now + timedelta(milliseconds=draw.number() * 7) if draw.once_in(2) else None
    cause = FailureCause("brake", row.name, row.version, draw.random.choice(STEPS), None, id)
    change = StatusChange(row.status, due_at=due, cause=cause, brake=id, brake_since=draw.now)
    told = StepBraked("charge", 1, "step", next_step(row), "digest", draw.now, 0, id, "why", draw.now, draw.once_in(2))
    event = draw.event(row.id, told)
    return commit(draw, "commit of a wait at a brake", row, [event], change=change, suspend=True, settled=True)
