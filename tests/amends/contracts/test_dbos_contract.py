"""The contract with DBOS: it reads, replays and forks what we write, and we replay what it writes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from dbos import DBOS, SetWorkflowID
from dbos._dbos import _get_dbos_instance
from dbos._serialization import PortableWorkflowError
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from app.amends.store.sagas.heartbeats import Heartbeat
from domain.amends.errors import Refusal
from domain.amends.event import Cause
from tests.amends.store.harness.sagas import store
from workflows.amends.dbos.engine import engine_on_dbos
from workflows.amends.executor.engine import Engine
from workflows.amends.saga import Call, Saga, Transaction, Undo, step, transaction

Sql = psycopg.Connection
MEGABYTE = "x" * 1024 * 1024
VALUES: dict[str, Any] = {
    "text": "done",
    "nothing": None,
    "unicode": 'Grüße, 你好, 🚚 " \\ \n \u2028',
    "megabyte": MEGABYTE,
    "number": 12345678901234567890,
    "nested": {"a": [1, 2.5, None, True], "b": {"c": "d"}},
}


class Declined(Refusal, name="declined"):
    """Declined: {reason}"""

    reason: str


@dataclass(frozen=True)
class Echo(Saga[str, str], name="echo"):
    """Gives back what it is told to, as text, or refuses."""

    ran: list[str] = field(default_factory=list)

    async def run(self, request: str) -> str:
        await self.first(request)
        await self.second(request)
        return "echoed"

    @step(compensation=None)
    async def first(self, call: Call, request: str) -> str | None:
        self.ran.append("first")
        return VALUES.get(request) if request in ("text", "nothing", "unicode", "megabyte") else request

    @step(compensation=None)
    async def second(self, call: Call, request: str) -> None:
        self.ran.append("second")
        if request == "refused":
            raise Declined("because")


@dataclass(frozen=True)
class Keys(Saga[str, str], name="keys"):
    """Notes the keys of its calls; fails at the end if it is told to."""

    keys: list[str] = field(default_factory=list)
    mood: list[str] = field(default_factory=list)

    async def run(self, request: str) -> str:
        await self.note(request)
        await self.charge(request)
        await self.finish(request)
        return "finished"

    @transaction(compensation=None)
    async def note(self, tx: Transaction, request: str) -> None: ...

    @step
    async def charge(self, call: Call, request: str) -> str:
        self.keys.append(call.key)
        return call.key

    @charge.compensation
    async def refund(self, undo: Undo[str], request: str) -> None:
        self.keys.append(undo.key)

    @step(pivot=True)
    async def finish(self, call: Call, request: str) -> None:
        if "fail" in self.mood:
            raise Declined("not today")


@asynccontextmanager
async def engine(url: URL, *sagas: Saga[Any, Any]) -> AsyncIterator[Engine]:
    async with store(url, connections=4) as it:
        beat = Heartbeat(url)
        running = engine_on_dbos(sagas, it.sagas, conninfo(url), beat.renew_lease, lambda: None)
        await running.launch()
        try:
            yield running
        finally:
            await running.shut_down()
            beat.close()


async def ended(sql: Sql, id: str) -> str:
    """A workflow's final status, as DBOS has it."""
    async with asyncio.timeout(30):
        while True:
            row = sql.execute("select status from dbos.workflow_status where workflow_uuid = %s", (id,)).fetchone()
            if row and row[0] not in ("PENDING", "ENQUEUED"):
                return str(row[0])
            await asyncio.sleep(0.02)


def rows(sql: Sql, table: str, id: str) -> list[dict[str, Any]]:
    order = "function_id" if table == "operation_outputs" else "1"
    cursor = sql.execute(f"select * from dbos.{table} where workflow_uuid = %s order by {order}", (id,))
    assert cursor.description is not None
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def shape(row: dict[str, Any], *differing: str) -> dict[str, Any]:
    """A row with the columns that must differ reduced to their types."""
    return {name: type(value).__name__ if name in differing else value for name, value in row.items()}


async def run_step(value: Any) -> Any:
    if isinstance(value, Exception):
        raise value
    return value


class declined(Exception):  # noqa: N801 (DBOS stores the name of the class)
    """The same refusal, as DBOS stores one."""

    data = {"reason": "because"}


async def plain(request: str) -> str:
    """The same two steps as Echo, by DBOS's own means."""
    await DBOS.run_step_async({"name": "first"}, run_step, VALUES.get(request, request))
    if request == "refused":
        await DBOS.run_step_async({"name": "second"}, run_step, declined("Declined: because"))
    else:
        await DBOS.run_step_async({"name": "second"}, run_step, None)
    return "echoed"


@pytest.fixture(autouse=True)
def no_dbos_is_left() -> Iterator[None]:
    yield
    DBOS.destroy(destroy_registry=True)


@pytest.mark.parametrize("request_", ["text", "nothing", "unicode", "megabyte", "refused"])
async def test_our_rows_are_what_dbos_writes_itself(database_18: URL, request_: str) -> None:
    with psycopg.connect(conninfo(database_18), autocommit=True) as sql:
        async with engine(database_18, Echo()) as running:
            bound = DBOS.workflow(name="plain")(plain)
            await running.start(running.saga_client.newest_definition("echo"), request_, "ours", Cause())
            with SetWorkflowID("theirs"):
                await DBOS.start_workflow_async(bound, request_)
            ours, theirs = await ended(sql, "ours"), await ended(sql, "theirs")
        assert ours == theirs == ("ERROR" if request_ == "refused" else "SUCCESS")
        differing: tuple[str, ...] = (
            "workflow_uuid",
            "started_at_epoch_ms",
            "completed_at_epoch_ms",
            "retention_timestamp",
        )
        mine, own = rows(sql, "operation_outputs", "ours"), rows(sql, "operation_outputs", "theirs")
        for my, their in zip(mine[:2], own, strict=True):
            if my["error"]:
                my["error"], their["error"] = json.loads(my["error"]), json.loads(their["error"])
            assert shape(my, *differing) == shape(their, *differing)
        (status,), (their_status,) = rows(sql, "workflow_status", "ours"), rows(sql, "workflow_status", "theirs")
        differing += ("name", "created_at", "updated_at", "completed_at", "creator_xid")
        known = {"queue_name": None, "started_at_epoch_ms": None}
        assert shape(status | known, *differing) == shape(their_status | known, *differing)
        (given,), (their_given,) = rows(sql, "workflow_input", "ours"), rows(sql, "workflow_input", "theirs")
        mine_, own_ = json.loads(given["inputs"]), json.loads(their_given["inputs"])
        assert mine_.keys() == own_.keys()
        assert mine_["positionalArgs"] == own_["positionalArgs"]


async def test_dbos_lists_what_we_wrote(database_18: URL) -> None:
    with psycopg.connect(conninfo(database_18), autocommit=True) as sql:
        async with engine(database_18, Echo()) as running:
            await running.start(running.saga_client.newest_definition("echo"), "unicode", "one", Cause(actor="ann"))
            await running.start(running.saga_client.newest_definition("echo"), "refused", "two", Cause())
            await ended(sql, "one")
            await ended(sql, "two")
            listed = {status.workflow_id: status for status in await DBOS.list_workflows_async()}
            assert listed["one"].status == "SUCCESS"
            assert listed["one"].output == "echoed"
            assert listed["one"].name == "echo"
            given = listed["one"].input
            assert given is not None
            assert given["args"] == ("unicode",)
            assert datetime.fromisoformat(given["kwargs"].pop("started")) <= datetime.now(UTC)
            assert given["kwargs"] == {"version": 1, "root": "one", "correlation_id": "one", "actor": "ann"}
            assert listed["two"].status == "ERROR"
            error = listed["two"].error
            assert isinstance(error, PortableWorkflowError)
            assert (error.name, error.code) == ("TurnedBack", "compensated")
            data: Any = error.data
            assert data["error"]["name"] == "declined"
            steps = await DBOS.list_workflow_steps_async("one")
            assert [(each["function_name"], each["output"]) for each in steps] == [
                ("first", VALUES["unicode"]),
                ("second", None),
                ("complete", "echoed"),
            ]


COPY = """
insert into dbos.operation_outputs (workflow_uuid, function_id, function_name, output, error, started_at_epoch_ms,
    completed_at_epoch_ms, serialization, application_name)
select %s, function_id, function_name, output, error, started_at_epoch_ms, completed_at_epoch_ms, serialization,
    application_name from dbos.operation_outputs where workflow_uuid = %s and function_id <= %s"""


@pytest.mark.parametrize("request_", ["unicode", "nothing", "refused"])
async def test_dbos_replays_what_we_wrote(database_18: URL, request_: str) -> None:
    ran: list[str] = []

    async def counting(value: Any) -> Any:
        ran.append("step")
        return value

    async def replayed(request: str) -> str:
        first = await DBOS.run_step_async({"name": "first"}, counting, "made anew")
        try:
            second = await DBOS.run_step_async({"name": "second"}, counting, "made anew")
        except PortableWorkflowError as error:
            second = error.data
        return json.dumps([first, second])

    with psycopg.connect(conninfo(database_18), autocommit=True) as sql:
        async with engine(database_18, Echo()) as running:
            bound = DBOS.workflow(name="replayed")(replayed)
            await running.start(running.saga_client.newest_definition("echo"), request_, "ours", Cause())
            await ended(sql, "ours")
            sql.execute(COPY, ("again", "ours", 2))
            with SetWorkflowID("again"):
                handle = await DBOS.start_workflow_async(bound, request_)
            first, second = json.loads(await handle.get_result())
    assert ran == [], "DBOS took the steps for done"
    assert first == VALUES.get(request_, request_)
    assert second == ({"reason": "because"} if request_ == "refused" else None)


async def test_we_replay_what_dbos_wrote(database_18: URL) -> None:
    saga = Echo()
    with psycopg.connect(conninfo(database_18), autocommit=True) as sql:
        async with engine(database_18, saga) as running:
            bound = DBOS.workflow(name="plain")(plain)
            with SetWorkflowID("theirs"):
                await DBOS.start_workflow_async(bound, "unicode")
            await ended(sql, "theirs")
            order = running.saga_client.start_request(
                running.saga_client.newest_definition("echo"), "unicode", "ours", Cause()
            )
            sql.execute(COPY, ("ours", "theirs", 1))
            await running.saga_client.start(order)
            running.request_queue_check()
            assert await ended(sql, "ours") == "SUCCESS"
    assert saga.ran == ["second"], "the first step was taken for done"


async def test_a_fork_by_dbos_keeps_the_keys_of_what_still_stands(database_18: URL) -> None:
    saga = Keys()
    with psycopg.connect(conninfo(database_18), autocommit=True) as sql:
        async with engine(database_18, saga) as running:
            await running.start(running.saga_client.newest_definition("keys"), "x", "one", Cause())
            assert await ended(sql, "one") == "SUCCESS"
            fork = (await DBOS.fork_workflow_async("one", 2)).get_workflow_id()
            assert await ended(sql, fork) == "SUCCESS"
        assert saga.keys == ["one.charge.1.0"] * 2, "the provider sees one charge"
        row = sql.execute("select root, status, reference from amends.sagas where id = %s", (fork,)).fetchone()
        assert row == ("one", "completed", "")
        told = sql.execute(
            "select type from amends.events where stream = %s order by version", (f"saga-{fork}",)
        ).fetchall()
        assert [type for (type,) in told] == ["saga-started", "step-completed", "step-completed", "saga-completed"]


async def test_a_fork_by_dbos_of_a_compensated_saga_charges_under_a_new_key(database_18: URL) -> None:
    saga = Keys(mood=["fail"])
    with psycopg.connect(conninfo(database_18), autocommit=True) as sql:
        async with engine(database_18, saga) as running:
            await running.start(running.saga_client.newest_definition("keys"), "x", "one", Cause())
            assert await ended(sql, "one") == "ERROR"
            saga.mood.clear()
            fork = (await DBOS.fork_workflow_async("one", 2)).get_workflow_id()
            assert await ended(sql, fork) == "SUCCESS"
    assert saga.keys == ["one.charge.1.0", "one.refund.1.0", "one.charge.1.1"]


async def test_a_cancel_in_dbos_is_shown_as_needing_a_person(database_18: URL) -> None:
    with psycopg.connect(conninfo(database_18), autocommit=True) as sql:
        async with engine(database_18, Echo()) as running:
            order = running.saga_client.start_request(
                running.saga_client.newest_definition("echo"), "text", "queued", Cause()
            )
            sql.execute("update amends.executors set kinds = '{}'")
            await running.saga_client.start(order)
            await DBOS.cancel_workflow_async("queued")
            async with asyncio.timeout(30):
                while sql.execute("select status from amends.sagas").fetchone() != ("abandoned",):
                    await asyncio.sleep(0.05)


def test_dbos_stays_in_the_event_loop_that_launched_it_while_that_stands_still(database_18: URL) -> None:
    """Code of a saga can make it stop for a moment; what DBOS began in a loop of its own would hear of no commit."""
    with asyncio.Runner() as runner:
        around = engine(database_18, Echo())
        runner.run(around.__aenter__())
        assert not runner.get_loop().is_running()
        assert _get_dbos_instance()._background_event_loop.target_loop() is runner.get_loop()
        runner.run(around.__aexit__(None, None, None))
