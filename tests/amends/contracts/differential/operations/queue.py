"""Operations of the queue and of executors."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.amends.contracts.differential.draw import PROVIDERS, Draw, Operation
from tests.amends.contracts.differential.operations import operation
from tests.amends.contracts.differential.sides import Side
from workflows.amends.history import SagaIncompatible, SagaTerminated
from workflows.amends.ports.execution_log import StatusChange
from workflows.amends.providers import Outage

FINISHED = ("compensated", "completed")


@operation(14)
def claim(draw: Draw) -> Operation | None:
    limit = draw.random.choice([1, 2, 5])
    return Operation.of("claim", "sagas.claim", draw.executor(), draw.owner(), draw.types(), limit)


@operation()
def awaited(draw: Draw) -> Operation | None:
    return Operation.of("awaited", "sagas.awaited_providers", draw.executor())


@operation(4)
def claim_awaiting(draw: Draw) -> Operation | None:
    provider, limit = draw.random.choice(PROVIDERS), draw.random.choice([1, 2, 5])
    given = (draw.executor(), draw.owner(), provider, draw.types(), limit, draw.random.choice([0.0, 0.0, 1.0, 30.0]))
    return Operation.of("claim awaiting", "sagas.claim_waiting_for_provider", *given)


@operation(4)
def wake_due(draw: Draw) -> Operation | None:
    return Operation.of("wake due", "sagas.enqueue_due", draw.random.choice([1, 2, 500]))


@operation()
def unsettle(draw: Draw) -> Operation | None:
    return Operation.of("unsettle", "sagas.note_unclaimed_run", draw.saga(lambda row: row.settled or row.was_settled))


@operation()
def cancelled(draw: Draw) -> Operation | None:
    wanted = draw.row(lambda row: row.cancel_reason is not None and row.owner is not None)
    executor = wanted.workflow.executor if wanted else None
    return Operation.of("cancelled", "sagas.cancel_requests", executor or draw.executor())


@operation()
def running(draw: Draw) -> Operation | None:
    longest = min(
        (row for row in draw.store.rows.values() if row.owner), key=lambda row: row.workflow.updated_at, default=None
    )
    executor = longest.workflow.executor if longest else None
    return Operation.of("running", "sagas.recorded_running", executor or draw.executor())


@operation()
def release(draw: Draw) -> Operation | None:
    row = draw.row(lambda row: row.owner is not None)
    if row is None:
        return None
    executor = draw.executor() if draw.once_in(6) else row.workflow.executor
    return Operation.of("release", "sagas.release", row.id, executor, "nobody" if draw.once_in(6) else row.owner)


@operation()
def release_orphans(draw: Draw) -> Operation | None:
    return Operation.of("release orphans", "sagas.release_orphans")


@operation()
def resume_lost(draw: Draw) -> Operation | None:
    return Operation.of("resume lost", "sagas.requeue_lost_ends")


@operation()
def without_code(draw: Draw) -> Operation | None:
    return Operation.of("without code", "sagas.queued_without_code")


@operation()
def claim_incompatible(draw: Draw) -> Operation | None:
    tried = [row.id for row in draw.store.rows.values() if draw.random.random() < 0.3]
    given = (draw.executor(), draw.owner(), draw.types(), draw.random.choice([1, 2, 50]), tried)
    return Operation.of("claim incompatible", "sagas.claim_incompatible", *given)


@operation()
def ended_abnormally(draw: Draw) -> Operation | None:
    return Operation.of("ended abnormally", "sagas.ended_abnormally")


@operation()
def note_that_no_code_fits(draw: Draw) -> Operation | None:
    id = draw.saga(lambda row: row.status in ("queued", "running", "waiting", "compensating"))
    row = draw.store.rows.get(id)
    change = StatusChange("stranded", "no code", cause=draw.failure_cause(row, "stranded") if row else None)
    told = draw.event(id, SagaIncompatible("no code"))
    return Operation.of("note that no code fits", "sagas.append_to_unowned", id, told, change, FINISHED)


@operation()
def note_that_it_was_ended(draw: Draw) -> Operation | None:
    id = draw.saga(lambda row: row.workflow.status in ("CANCELLED", "ERROR"))
    row = draw.store.rows.get(id)
    change = StatusChange("abandoned", "DBOS says so", cause=draw.failure_cause(row, "abandoned") if row else None)
    told = draw.event(id, SagaTerminated("DBOS says so"))
    return Operation.of("note that it was ended", "sagas.append_to_unowned", id, told, change, FINISHED)


@operation(4)
def register(draw: Draw) -> Operation | None:
    executor = draw.executor(alive=False) if draw.once_in(6) else f"e-{draw.number()}"
    lease = draw.random.choice([3.0, 60.0, 600.0, 3600.0])
    given = (executor, f"machine {draw.random.randrange(2)}", draw.random.randrange(9), 1.5, draw.types(), lease)
    return Operation.of("register", "sagas.register_executor", *given)


@operation(4)
def beat(draw: Draw) -> Operation | None:
    return Operation.of(
        "beat", "leases.renew_lease", draw.executor(not draw.once_in(3)), draw.random.choice([3.0, 60.0])
    )


@operation()
def other_executors(draw: Draw) -> Operation | None:
    return Operation.of("other executors", "sagas.other_executors", draw.executor())


@operation()
def hand_over(draw: Draw) -> Operation | None:
    row = draw.row(lambda row: row.owner is not None)
    executor = row and row.workflow.executor
    kept = [row.id for row in draw.store.rows.values() if draw.once_in(3)]
    return Operation.of("hand over", "sagas.hand_over", executor or draw.executor(), kept)


@operation(2)
def end(draw: Draw) -> Operation | None:
    row = draw.row(lambda row: row.owner is not None)
    executors = [draw.executor() for _ in range(draw.random.choice([1, 1, 2]))]
    if row and row.workflow.executor and draw.once_in(2):
        executors.append(row.workflow.executor)
    return Operation.of("end", "sagas.end_executors", executors, draw.executor(), not draw.once_in(4))


@operation(3)
def die_with_some(draw: Draw) -> Operation | None:
    """Executors come, claim what is oldest, and die, one after the other: several die with the same sagas."""
    executors = [f"e-{draw.number()}" for _ in range(draw.random.choice([1, 2, 7]))]
    types, died = draw.types(), not draw.once_in(9)

    async def call(side: Side) -> Any:
        claimed = list[list[str]]()
        for executor in executors:
            await side.sagas.register_executor(executor, "here", 1, 1.5, types, 60.0)
            found = await side.sagas.claim(executor, f"owner of {executor}", types, 2)
            claimed.append(sorted(each.id for each in found))
            await side.sagas.end_executors([executor], "another", died)
        return tuple(claimed) if any(claimed) else None

    return Operation("die with some", f"{executors} {types} {died}", call)


@operation()
def report_outages(draw: Draw) -> Operation | None:
    executor, down = draw.executor(), draw.some(PROVIDERS)
    told = [
        Outage(name, draw.now - timedelta(seconds=draw.random.randrange(9)), f"error {draw.number()}") for name in down
    ]
    return Operation.of("report outages", "dbos.report_outages", executor, told, draw.some(PROVIDERS))


@operation()
def outcome(draw: Draw) -> Operation | None:
    """What DBOS writes after the last commit; where that commit was lost, the saga has not ended."""
    ended = draw.row(lambda row: row.owner is not None and row.finished_at is not None)
    row = (None if draw.once_in(3) else ended) or draw.row(lambda row: row.owner is not None)
    if row is None:
        return None
    error = draw.random.choice(['{"name": "TurnedBack", "message": ""}', '{"name": "Error"}'])
    status = draw.random.choice(["SUCCESS", "ERROR"])
    if row.status in FINISHED:
        status, error = (
            ("SUCCESS", "") if row.status == "completed" else ("ERROR", '{"name": "TurnedBack", "message": ""}')
        )
    return Operation.of("outcome", "dbos.outcome", row.id, row.owner, status, error)


@operation()
def fork(draw: Draw) -> Operation | None:
    row = draw.row(lambda row: bool(row.checkpoints)) or draw.row()
    return (
        None
        if row is None
        else Operation.of("fork", "dbos.fork", row.id, f"f-{draw.number()}", draw.random.choice([1, 2, 3]))
    )


@operation()
def dequeue(draw: Draw) -> Operation | None:
    return Operation.of("dequeue", "dbos.dequeue", draw.executor(), draw.owner())


@operation()
def adopt(draw: Draw) -> Operation | None:
    forks = [id for id in draw.store.workflows if id not in draw.store.rows]
    return Operation.of("adopt", "sagas.adopt_fork", draw.one_of(forks) or draw.saga())


@operation()
def cancel_in_dbos(draw: Draw) -> Operation | None:
    row = draw.row()
    return None if row is None else Operation.of("cancel in dbos", "dbos.cancel", row.id)


@operation(1)
def resume_in_dbos(draw: Draw) -> Operation | None:
    row = draw.row(lambda row: row.workflow.status == "CANCELLED") or draw.row()
    return None if row is None else Operation.of("resume in dbos", "dbos.resume", row.id)
