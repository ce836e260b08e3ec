"""The database stands still without a word, as a whole or one connection of it: the event loop answers all the same."""

from __future__ import annotations

import os
import signal

import psycopg

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo, parse_url
from tests.amends.crash.standstill import frozen
from tests.example.server import Server, http, wait_for

LEASE = 2
BACKENDS = "select pid from pg_stat_activity where application_name = 'amends lease' and datname = current_database()"


def stop_between_its_beats(sql: psycopg.Connection, backend: int) -> None:
    """Stop a backend that holds no lock: in the middle of a beat it would hold that of the very row."""

    def stopped() -> bool:
        os.kill(backend, signal.SIGSTOP)
        row = sql.execute("select state from pg_stat_activity where pid = %s", (backend,)).fetchone()
        if row == ("idle",):
            return True
        os.kill(backend, signal.SIGCONT)
        return False

    wait_for(stopped, "it is stopped between two beats")


def test_a_heartbeat_that_hangs_is_given_up_and_the_lease_is_renewed_over_another_connection(
    cluster: EmbeddedPostgres,
) -> None:
    url = parse_url(cluster.url)
    with Server(url, lease_seconds=LEASE) as server, psycopg.connect(conninfo(url), autocommit=True) as sql:
        server.start()
        wait_for(lambda: sql.execute(BACKENDS).fetchall(), "the lease is renewed")
        (hung,) = [pid for (pid,) in sql.execute(BACKENDS).fetchall()]
        stop_between_its_beats(sql, hung)
        try:
            later = "select lease_until > %s + interval '6 s' from amends.executors"
            first = sql.execute("select lease_until from amends.executors").fetchone()
            wait_for(lambda: sql.execute(later, first).fetchone() == (True,), "the lease is renewed for long")
            assert [pid for (pid,) in sql.execute(BACKENDS).fetchall() if pid != hung]
            assert http.get(f"{server.base}/readyz").status_code == 200
        finally:
            os.kill(hung, signal.SIGCONT)
        assert not server.ended()
        assert "the database has not answered within" in server.said
        assert "blocked" not in server.said


def test_the_event_loop_is_not_taken_for_blocked_while_postgres_stands_still(cluster: EmbeddedPostgres) -> None:
    url = parse_url(cluster.url)
    with Server(url, lease_seconds=LEASE) as server:
        server.start()
        server.place_order("before", sku="SLOW-boat")
        with frozen(cluster):
            wait_for(lambda: server.said.count("The lease could not be renewed") >= 4, "it stands still for long")
            assert http.get(f"{server.base}/healthz").status_code == 200
            reads = [http.get(f"{server.base}/events", timeout=30) for _ in range(2)]
            assert [each.status_code for each in reads] == [503, 503], "nobody waits until it is back"
            late = server.place_order("later")
            assert (late.status_code, late.json()["id"]) == (503, "later")
        assert server.saga_when_back("before")["status"] == "completed"
        assert server.place_order("later").status_code == 202
        assert server.saga_when_back("later")["status"] == "completed"
        assert "blocked" not in server.said
        assert "The event loop has not answered" not in server.said
        assert not server.ended()
