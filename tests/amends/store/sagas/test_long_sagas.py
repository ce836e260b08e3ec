"""A saga of many steps, or of large results, is read a little at a time, and comes back whole and in order."""

from __future__ import annotations

import json

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.store.sagas.replay_states import HISTORY_PAGE
from app.amends.store.sagas.summaries import SagaSummaries
from tests.amends.store.harness.sagas import AT, Store, checkpoint, event, started, store
from workflows.amends.history import StepCompleted
from workflows.amends.ports.execution_log import StepCommit
from workflows.amends.values.codec import dump

Sql = psycopg.Connection


async def long_saga(it: Store, steps: int, size: int) -> str:
    """A saga that has done so many steps, each with a result of so many bytes."""
    saga = await started(it)
    for number in range(1, steps + 1):
        result = f"{number} " + "x" * size
        told = StepCompleted("more", number, "step", number, "", AT, 1, result)
        new = event(f"saga-{saga}", "step-completed", dump(told, StepCompleted))
        await it.sagas.commit(saga, "me", StepCommit([new], {}, checkpoint(number, "more", json.dumps(result))))
    return saga


@pytest.mark.parametrize(("steps", "size"), [(0, 0), (249, 1), (250, 1), (600, 1), (20, 400_000)])
async def test_it_comes_back_whole_and_in_order(database: URL, steps: int, size: int) -> None:
    async with store(database) as it:
        saga = await long_saga(it, steps, size)
        stored = await it.sagas.load_replay_state(saga)
        assert stored is not None
        assert list(stored.checkpoints) == list(stored.arguments) == list(range(1, steps + 1))
        assert stored.version == steps + 1
        found = await SagaSummaries(it.reader).saga_with_state(saga)
        assert found is not None
        assert [step.occurrence for step in found[1].steps] == list(range(1, steps + 1))


async def test_what_is_read_at_a_time_is_bounded_by_its_size_too(database: URL, sql: Sql) -> None:
    async with store(database) as it:
        saga = await long_saga(it, 10, 400_000)
    asked = {"id": saga} | HISTORY_PAGE
    for function, text in (("told(%(id)s, 0,", "data"), ("checkpoints(%(id)s, -1,", "output")):
        statement = f"select count(*), sum(octet_length({text})) from amends.{function} %(rows)s, %(bytes)s)"
        row = sql.execute(statement.encode(), asked).fetchone()
        assert row is not None
        assert 1 <= row[0] <= 2  # the event that says how it started is a small one
        assert row[1] <= HISTORY_PAGE["bytes"] + 500_000
