"""Random faults under load: kills, pauses and deaths of Postgres, with sagas in flight at each of them."""

from __future__ import annotations

import os
import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from sqlalchemy import URL

from app.main import LEASE_LOST
from app.store.database import conninfo, parse_url
from app.store.embedded import EmbeddedPostgres
from tests.crash.ledger import doubled_keys, net_effects, pending
from tests.server import Server, order, wait_for

LEASE = 2
HAPPY = {"hold": 1, "charge": 1, "book": 1}
KINDS: list[tuple[dict[str, Any], str]] = [
    ({}, "completed"),
    ({"token": "tok_declined"}, "compensated"),
    ({"sku": "OUT-OF-STOCK"}, "compensated"),
    ({"postcode": "00000"}, "compensated"),
    ({"token": "tok_flaky"}, "completed"),
    ({"token": "tok_late_charge"}, "compensated"),
    ({"sku": "SLOW-boat"}, "completed"),
    ({"sku": "SLOW-boat", "postcode": "00000"}, "compensated"),
    ({"token": "tok_timeout_after_charge"}, "completed"),
]


@dataclass
class Load:
    """Clients that place orders all the time, at whichever server answers, each until it is told 202."""

    servers: list[Server]
    dice: random.Random
    placed: dict[str, str] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self, clients: int) -> list[threading.Thread]:
        threads = [threading.Thread(target=self._client, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        return threads

    def stop(self) -> None:
        self._over.set()

    def _client(self, number: int) -> None:
        count = 0
        while not self._over.is_set():
            changes, status = self.dice.choice(KINDS)
            id = f"c{number}-{count}"
            self._place(id, changes)
            self.placed[id] = status
            count += 1

    def _place(self, id: str, changes: dict[str, Any]) -> None:
        while True:
            server = self.dice.choice(self.servers)
            with suppress(httpx.TransportError, IndexError):
                answer = httpx.post(
                    f"http://127.0.0.1:{server.port}/workflows/place-order",
                    json=order(id, **changes),
                    headers={"Idempotency-Key": id},
                    timeout=5,
                )
                if answer.status_code == 202:
                    return
                assert answer.status_code == 503, answer.text
            time.sleep(0.05)


class Faults:
    """What goes wrong, one at a time; each returns once the cause is mended."""

    def __init__(self, cluster: EmbeddedPostgres, servers: list[Server], dice: random.Random) -> None:
        self.cluster, self.servers, self.dice = cluster, servers, dice
        self.history: list[str] = []

    def one(self) -> None:
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
        server = self.dice.choice(self.servers)
        server.pause()
        began = time.monotonic()
        wait_for(lambda: time.monotonic() - began > LEASE * self.dice.choice([0.3, 2.0]), "the pause is over")
        server.resume()
        assert server.process is not None
        with suppress(Exception):
            assert server.wait(3) == LEASE_LOST
            server.kill()
            server.start()

    def postgres(self) -> None:
        running = self.cluster.process()
        assert running is not None
        for process in [running, *running.children()]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.cluster.start()

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
        print(f"{len(load.placed)} orders, in flight at the faults: {in_flight}, faults: {' '.join(faults.history)}")
        assert sum(count > 0 for count in in_flight) >= len(in_flight) // 2, "the faults hit running sagas"
        check(url, load.placed, one)


def unfinished(url: URL) -> int:
    with psycopg.connect(conninfo(url)) as sql:
        row = sql.execute(
            "select count(*) from amends.sagas where status not in ('completed', 'compensated')"
        ).fetchone()
    return int(row[0]) if row else 0


def check(url: URL, placed: dict[str, str], server: Server) -> None:
    for id, status in placed.items():
        saga = server.saga_when_back(id, 120)
        assert saga["status"] == status, f"{id} is {saga['status']}: {saga['reason']}"
    with psycopg.connect(conninfo(url), autocommit=True) as sql:
        wait_for(lambda: pending(sql) == 0, "nothing is still to come")
        for id, status in placed.items():
            assert net_effects(sql, id) == (HAPPY if status == "completed" else {}), id
        assert doubled_keys(sql) == 0
        assert sql.execute("select count(*) from amends.sagas").fetchone() == (len(placed),)
        gaps = """select count(*) from (
            select version - lag(version, 1, 0) over (partition by stream order by version) as step from amends.events
            ) as each where step <> 1"""
        assert sql.execute(gaps).fetchone() == (0,)
        wait_for(lambda: open_workflows(sql) == 0, "DBOS shows every outcome")


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
