"""Random faults under load: kills, pauses and deaths of Postgres, with sagas in flight at each of them."""

from __future__ import annotations

import os
import random
import time
from contextlib import suppress

import httpx
import psutil
import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo, parse_url
from app.amends.server.serve import LEASE_LOST
from tests.example.crash.ledger import doubled_keys, net_effects, pending
from tests.example.crash.load import FUNDS, PAID, PAYER, Kind, Load
from tests.example.server import Server, http, wait_for

LEASE = 2


class Faults:
    """What goes wrong, one at a time; each returns once the cause is mended. Who lost its lease is started again."""

    def __init__(self, cluster: EmbeddedPostgres, servers: list[Server], dice: random.Random) -> None:
        self.cluster, self.servers, self.dice = cluster, servers, dice
        self.history: list[str] = []

    def one(self) -> None:
        self.restart()
        fault = self.dice.choice([self.kill, self.kill, self.pause, self.postgres, self.both, self.everything])
        self.history.append(fault.__name__)
        fault()

    def kill(self) -> None:
        server = self.dice.choice(self.servers)
        server.kill()
        self.dice.random()
        server.start()

    def both(self) -> None:
        for server in self.servers:
            server.kill()
        for server in self.servers:
            server.start()

    def pause(self) -> None:
        server, seconds = self.dice.choice(self.servers), LEASE * self.dice.choice([0.3, 2.0])
        server.pause()
        began = time.monotonic()
        wait_for(lambda: time.monotonic() - began > seconds, "the pause is over")
        server.resume()
        wait_for(lambda: server.ended() or ready(server), "it has its lease, or knows that it has lost it")
        self.restart()

    def postgres(self) -> None:
        running = self.cluster.process()
        assert running is not None
        for process in [running, *running.children()]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.cluster.start()

    def restart(self) -> None:
        for server in self.servers:
            if server.ended():
                assert server.wait() == LEASE_LOST, server.said
                server.start()

    def everything(self) -> None:
        for server in self.servers:
            server.kill()
        self.postgres()
        for server in self.servers:
            server.start()


def storm(cluster: EmbeddedPostgres, seconds: float, clients: int) -> None:
    seed = int(os.environ.get("STORM_SEED") or random.SystemRandom().randrange(10**6))
    print(f"STORM_SEED={seed}")
    url, dice = parse_url(cluster.url), random.Random(seed)
    with Server(url, lease_seconds=LEASE) as one, Server(url, lease_seconds=LEASE) as two:
        servers = [one.start(), two.start()]
        load, faults = Load(servers, random.Random(seed + 1)), Faults(cluster, servers, dice)
        threads = load.run(clients)
        over, in_flight = time.monotonic() + seconds, []
        while time.monotonic() < over:
            settled = time.monotonic() + dice.uniform(0.2, 1.5)
            wait_for(lambda until=settled: time.monotonic() > until, "some load has passed")  # type: ignore[misc]
            in_flight.append(unfinished(url))
            faults.one()
        load.stop()
        for thread in threads:
            thread.join(120)
        faults.restart()
        print(f"{len(load.placed)} sagas, in flight at the faults: {in_flight}, faults: {' '.join(faults.history)}")
        assert sum(count > 0 for count in in_flight) >= len(in_flight) // 2, "the faults hit running sagas"
        check(url, load.placed, one)


def ready(server: Server) -> bool:
    with suppress(httpx.TransportError):
        return http.get(f"{server.base}/readyz", timeout=5).status_code == 200
    return False


def unfinished(url: URL) -> int:
    with psycopg.connect(conninfo(url)) as sql:
        row = sql.execute(
            "select count(*) from amends.sagas where status not in ('completed', 'compensated')"
        ).fetchone()
    return int(row[0]) if row else 0


def check(url: URL, placed: dict[str, Kind], server: Server) -> None:
    for id, kind in placed.items():
        saga = server.saga_when_back(id, 120)
        while saga["status"] == "waiting":  # for a child: it goes on by itself
            saga = server.saga_when_back(id, 120)
        assert saga["status"] == kind.status, f"{id} is {saga['status']}: {saga['reason']}"
    with psycopg.connect(conninfo(url), autocommit=True) as sql:
        wait_for(lambda: pending(sql) == 0, "nothing is still to come")
        for id, kind in placed.items():
            for suffix, effects in kind.effects.items():
                assert net_effects(sql, id + suffix) == effects, id
        assert doubled_keys(sql) == 0
        assert sql.execute("select count(*) from amends.sagas where parent is null").fetchone() == (len(placed),)
        gaps = """select count(*) from (
            select version - lag(version, 1, 0) over (partition by stream order by version) as step from amends.events
            ) as each where step <> 1"""
        assert sql.execute(gaps).fetchone() == (0,)
        wait_for(lambda: open_workflows(sql) == 0, "DBOS shows every outcome")
        check_read_models(sql, placed)


def check_read_models(sql: psycopg.Connection, placed: dict[str, Kind]) -> None:
    """Each row is there once, and what the events add up to, whoever wrote it."""
    newest = "select max(position) from amends.events"
    behind = f"select count(*) from amends.builds where position < ({newest})"
    wait_for(lambda: sql.execute(behind).fetchone() == (0,), "every read model has caught up")
    paid = sum(kind.paid for kind in placed.values())
    balances = sql.execute("select account_id, balance from views.account_balances order by 1").fetchall()
    assert balances == [(PAID, paid), (PAYER, FUNDS - paid)]
    differing = """select (select count(*) from amends.sagas) - (select count(*) from views.workflow_overview),
        (select count(*) from amends.sagas as s left join views.workflow_overview as v on v.id = s.id
          where v.status is distinct from s.status)"""
    assert sql.execute(differing).fetchone() == (0, 0)
    orders = {
        str(id): status for id, status in sql.execute("select order_id, status from views.order_board").fetchall()
    }
    ends = {"completed": "confirmed", "compensated": "cancelled"}
    assert orders == {id: ends[kind.status] for id, kind in placed.items() if kind.workflow == "place-order"}


def open_workflows(sql: psycopg.Connection) -> int:
    row = sql.execute("select count(*) from dbos.workflow_status where status in ('PENDING', 'ENQUEUED')").fetchone()
    return int(row[0]) if row else -1


@pytest.mark.timeout(400)
def test_random_faults_under_load_lose_nothing_and_do_nothing_twice(cluster: EmbeddedPostgres) -> None:
    storm(cluster, seconds=40, clients=6)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_half_an_hour_of_faults(cluster: EmbeddedPostgres) -> None:
    storm(cluster, seconds=1800, clients=12)
