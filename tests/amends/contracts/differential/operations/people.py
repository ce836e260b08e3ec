"""What people and programs tell sagas and ask about them."""

from __future__ import annotations

from datetime import timedelta

from tests.amends.contracts.differential.draw import SIGNALS, STEPS, Draw, Operation
from tests.amends.contracts.differential.operations import operation
from workflows.amends.history import (
    CancelRequested,
    OperatorActed,
    SagaMigrated,
    SagaStuck,
    SignalReceived,
    Status,
    saga_histories,
)
from workflows.amends.ports.saga_store import VersionMove


@operation(10, "success", "TAKEN", "REPEATED")
def start(draw: Draw) -> Operation | None:
    known = draw.once_in(6)
    forks = [each for each in draw.store.workflows if each not in draw.store.rows] if draw.once_in(2) else []
    id = (draw.one_of(forks) or draw.saga()) if known else f"s-{draw.number()}"
    deadline = timedelta(seconds=draw.random.randrange(1, 99)) if draw.once_in(4) else None
    owned = draw.once_in(3)
    ended = [each.id for each in draw.store.executors.values() if each.ended_at] if draw.once_in(3) else []
    executor, owner = (draw.one_of(ended) or draw.executor(), draw.owner()) if owned else (None, None)
    begun = draw.start(id, executor=executor, owner=owner, deadline=deadline)
    return draw.remember(Operation.of("start", "sagas.start", begun))


@operation(2)
def load(draw: Draw) -> Operation | None:
    return Operation.of("load", "sagas.load_replay_state", draw.saga())


@operation(2)
def recorded_start(draw: Draw) -> Operation | None:
    return Operation.of("recorded start", "sagas.recorded_start", draw.saga())


@operation(2)
def standing(draw: Draw) -> Operation | None:
    return Operation.of("standing", "sagas.status_details", draw.saga(lambda row: row.status == "stuck"))


@operation(5, "success", "NotFound", "RepeatedRequest", "str")
def signal(draw: Draw) -> Operation | None:
    row = draw.row(lambda row: row.waiting_for is not None) if draw.once_in(2) else None
    id = row.id if row else draw.saga()
    name = (row and row.waiting_for) or draw.random.choice(SIGNALS)
    told = draw.event(id, SignalReceived(name, draw.value()))
    return draw.remember(Operation.of("signal", "sagas.signal", id, name, told, draw.answer()))


@operation(4, "success", "NotFound", "RepeatedRequest", "str")
def cancel(draw: Draw) -> Operation | None:
    id = draw.saga((lambda row: row.finished_at is not None) if draw.once_in(4) else (lambda _: True))
    pivots = draw.some(STEPS) if draw.once_in(2) else []
    told = draw.event(id, CancelRequested(f"reason {draw.number()}"))
    return draw.remember(Operation.of("cancel", "sagas.cancel", id, pivots, told.data["reason"], told, draw.answer()))


@operation(5, "success", "NotFound", "StaleVersion", "RepeatedRequest", "str")
def act(draw: Draw) -> Operation | None:
    id = draw.saga(lambda row: row.status in ("stuck", "abandoned", "stranded"))
    last = draw.store.saga_history(id).last(SagaStuck)
    stuck_at = last[0] if last and not draw.once_in(6) else draw.random.choice([None, None, 3])
    row = draw.store.rows.get(id)
    allowed: list[Status] = [row.status] if row and not draw.once_in(6) else ["stuck"]
    going: Status = "compensating" if draw.store.is_compensating(id) else "running"
    acted = draw.event(id, OperatorActed("retry", "now", 3, "charge"))
    cancel = f"reason {draw.number()}" if draw.once_in(3) else None
    given = (id, stuck_at, allowed, acted, going, draw.answer(), cancel)
    return draw.remember(Operation.of("act", "sagas.apply_operator_action", *given))


@operation(5, "success", "NotFound", "StaleVersion", "RepeatedRequest", "str")
def migrate(draw: Draw) -> Operation | None:
    still = ("queued", "waiting", "stranded")
    id = draw.saga((lambda row: row.status in still) if draw.once_in(2) else (lambda _: True))
    row = draw.store.rows.get(id)
    at = draw.store.events.version(saga_histories.stream(id))
    before = row.version if row and not draw.once_in(9) else 7
    move = VersionMove(id, before, draw.random.choice([1, 2]), at if not draw.once_in(6) else at + 1)
    told = draw.event(id, SagaMigrated(move.from_version, move.to_version, f"reason {draw.number()}"))
    return draw.remember(Operation.of("migrate", "sagas.migrate", move, told, draw.answer()))
