"""Code of a saga that blocks the event loop, or does not end: it is named, and it stops nobody else."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack
from functools import partial

import httpx
import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from tests.example.server import Server, http, wait_for

COMMAND = (sys.executable, "-m", "tests.example.crash.code.blocking")
LEASE = 5
"""Long enough for a watchdog on a busy machine to put on record, before it is over, who blocks."""


def start(server: Server, id: str, saga: str = "blocking", **wanted: object) -> None:
    """Start a saga; the server may be blocked, or killed, before it has answered."""
    body = {"how": "sleep", "seconds": 120.0} | wanted
    try:
        http.post(f"{server.base}/workflows/{saga}", json=body, headers={"Idempotency-Key": id}, timeout=1)
    except httpx.TransportError:
        return


def row(sql: psycopg.Connection, id: str) -> tuple[str, str]:
    """A saga's status and reason, from the database: a server may not answer."""
    found = sql.execute("select status, coalesce(reason, '') from amends.sagas where id = %s", (id,)).fetchone()
    return found or ("", "")


def is_at(sql: psycopg.Connection, id: str, status: str) -> bool:
    return row(sql, id)[0] == status


def blocks(sql: psycopg.Connection) -> list[tuple[str | None, float]]:
    """What was put on record: the steps, and for how long they blocked."""
    found = sql.execute(
        "select data ->> 'step', (data ->> 'seconds')::float from amends.events"
        " where type = 'event-loop-blocked' order by position"
    )
    return found.fetchall()


def answers(server: Server) -> bool:
    """Whether the event loop comes round."""
    try:
        return http.get(f"{server.base}/healthz", timeout=1).status_code == 200
    except httpx.TransportError:
        return False


def has_ended(server: Server) -> bool:
    return server.process is not None and server.process.poll() is not None


@pytest.mark.parametrize(
    ("how", "where", "step"), [("sleep", "step", "call"), ("busy", "run", "run"), ("gil", "step", "call")]
)
def test_a_saga_that_blocks_its_server_is_stuck_the_second_time(
    database_18: URL, how: str, where: str, step: str
) -> None:
    with ExitStack() as stack:
        sql = stack.enter_context(psycopg.connect(conninfo(database_18), autocommit=True))
        servers = [stack.enter_context(Server(database_18, lease_seconds=LEASE)) for _ in range(3)]
        for server in servers:
            server.launch(command=COMMAND)
        for server in servers:
            assert server.until_up().place_order(f"beside-{server.port}").status_code == 202
        start(servers[0], "blocks", how=how, where=where)

        wait_for(lambda: is_at(sql, "blocks", "stuck"), "it is stuck")
        told = row(sql, "blocks")[1]
        assert told.startswith(f"{step} blocked the event loop")
        assert "in block" in told
        assert [name or "run" for name, _ in blocks(sql)] == [step, step]
        for server in servers:
            wait_for(partial(is_at, sql, f"beside-{server.port}", "completed"), "the others go on")
        wait_for(lambda: sum(map(has_ended, servers)) == 2, "two servers have ended")

        (alive,) = (server for server in servers if not has_ended(server))
        who = "run of saga" if step == "run" else f"step {step} of saga"
        said = "".join(server.said for server in servers).lower()
        assert said.count(f"{who} blocks (blocking:1) has blocked the event loop") == 2
        assert alive.said.count("is stuck at") == 1
        metric = f'amends_event_loop_blocks_recorded{{saga="blocking",step="{step}"}} 2.0'
        assert metric in http.get(f"{alive.base}/metrics").text


def test_a_short_block_is_a_warning_and_nothing_else(database_18: URL) -> None:
    with (
        Server(database_18, lease_seconds=10) as server,
        psycopg.connect(conninfo(database_18), autocommit=True) as sql,
    ):
        server.start(command=COMMAND)
        start(server, "blocks", seconds=2.0, times=1)
        assert server.saga_when_back("blocks")["status"] == "completed"
        wait_for(lambda: "The event loop was blocked for " in server.said, "it is said")
        assert "by step call of saga blocks (blocking:1)" in server.said
        assert "in block" in server.said
        assert blocks(sql) == []
        assert (
            'amends_event_loop_blocks_total{saga="blocking",step="call"} 1.0' in http.get(f"{server.base}/metrics").text
        )


def test_nobody_is_blamed_for_a_thread_of_another_saga_that_holds_python(database_18: URL) -> None:
    with (
        Server(database_18, lease_seconds=LEASE) as server,
        psycopg.connect(conninfo(database_18), autocommit=True) as sql,
    ):
        server.start(command=COMMAND)
        for number in range(3):
            start(server, f"works-{number}", "working", seconds=LEASE + 5.0)
        start(server, "holds", how="hold", seconds=LEASE + 3.0, where="thread")
        assert server.saga_when_back("holds")["status"] == "completed"
        wait_for(lambda: "another thread, which held Python's lock" in server.said, "it is said")
        assert "in block" in server.said, "with the stack of that thread"
        assert "A thread that holds Python's lock has blocked the event loop" in server.said
        for number in range(3):
            assert server.saga_when_back(f"works-{number}")["status"] == "completed"
        assert blocks(sql) == []
        assert "of saga works" not in server.said


def test_a_block_is_put_on_record_once_the_database_can_be_written_again(database_18: URL) -> None:
    with (
        Server(database_18, lease_seconds=LEASE) as server,
        psycopg.connect(conninfo(database_18), autocommit=True) as sql,
    ):
        server.start(command=COMMAND)
        with psycopg.connect(conninfo(database_18)) as other:
            other.execute("select from amends.executors for update")
            start(server, "blocks", seconds=LEASE + 3.0, times=1, where="first")
            wait_for(lambda: "event loop was blocked for" in server.said, "it is over")
            assert "The watchdog could not say what blocks" in server.said
            assert blocks(sql) == []
        wait_for(lambda: [step for step, _ in blocks(sql)] == ["call"], "it is on record")
        assert is_at(sql, "blocks", "running")


def test_a_server_whose_code_holds_python_ends_in_time_when_it_is_asked_to(database_18: URL) -> None:
    with Server(database_18, lease_seconds=60) as server:
        server.environment["HARD_SECONDS"] = "4"
        server.start(command=COMMAND)
        start(server, "blocks", how="hold", seconds=100)
        wait_for(lambda: not answers(server), "it blocks")
        assert server.process is not None
        server.process.terminate()
        assert server.wait(40) == -signal.SIGKILL
        assert "This server is ended: it was asked to stop and does not" in server.said


def test_alone_a_blocked_server_goes_on_and_asks_a_person_the_second_time(database_18: URL) -> None:
    with (
        Server(database_18, lease_seconds=1) as server,
        psycopg.connect(conninfo(database_18), autocommit=True) as sql,
    ):
        server.start(command=COMMAND)
        start(server, "once", seconds=6.0, times=1)
        assert server.saga_when_back("once")["status"] == "completed"
        assert [step for step, _ in blocks(sql)] == ["call"]
        start(server, "again", how="gil", seconds=6.0, where="twice")
        assert server.saga_when_back("again")["status"] == "stuck"
        server.post("/workflows/again/retry", {"reason": "it is quicker now"})
        assert server.saga_when_back("again")["status"] == "completed"


@pytest.mark.parametrize("how", ["swallow", "thread"])
def test_a_step_that_does_not_end_keeps_nobody_from_stopping(database_18: URL, how: str) -> None:
    with (
        Server(database_18) as server,
        Server(database_18) as other,
        psycopg.connect(conninfo(database_18), autocommit=True) as sql,
    ):
        server.start(command=COMMAND)
        start(server, "swallows", "swallowing", how=how)
        for number in range(5):
            server.post("/workflows/transfer-money", transfer(number), Idempotency_Key=f"waits-{number}")
            server.place_order(f"slow-{number}", sku="SLOW-boat")
        other.start(command=COMMAND)
        assert server.process is not None
        server.process.terminate()
        for number in range(5):
            wait_for(partial(is_at, sql, f"slow-{number}", "completed"), "the others go on")
        assert server.wait(60) == 0, "it ends long before that step"
        assert is_at(sql, "swallows", "running")


def test_sagas_whose_threads_do_not_end_stop_no_others(database_18: URL) -> None:
    with Server(database_18) as server:
        server.start(command=COMMAND)
        for number in range(80):
            server.post(
                "/workflows/swallowing", {"how": "thread", "seconds": 120.0}, Idempotency_Key=f"thread-{number}"
            )
        server.place_order("beside")
        assert server.saga_when_back("beside")["status"] == "completed"
        wait_for(lambda: "code of sagas has all its 64 threads" in server.said, "it is said")
        server.place_order("later")
        assert server.saga_when_back("later")["status"] == "completed"
        assert server.said.count("waits for a thread") == 1
        assert server.stop() == 0


def transfer(number: int) -> dict[str, object]:
    return {
        "transfer_id": f"t-{number}",
        "from_account": "a",
        "to_account": "b",
        "amount": 1,
        "currency": "EUR",
    }
