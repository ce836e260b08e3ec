"""Plays a scenario: load, fault, load, and then everything is counted."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psycopg

from tests.example.server import Server, wait_for
from tests.example.soak.patroni import counting
from tests.example.soak.patroni.cluster.cluster import Cluster
from tests.example.soak.patroni.cluster.servers import Keeper, all_ready, kept_servers
from tests.example.soak.patroni.faults import Scene
from tests.example.soak.patroni.following import Follower
from tests.example.soak.patroni.load import PAYMENT, Load, Looks, Watcher, can_be_written, reads
from tests.example.soak.patroni.scenarios import Scenario

SERVERS, CLIENTS = 2, 3
BEFORE, AFTER = 12, 12
"""How many sagas are placed before the fault, and after it is over."""
STEPS = """
select max(extract(epoch from later)) from (
    select recorded_at - lag(recorded_at) over (order by recorded_at) as later from amends.events
     where type = 'step-completed') as gaps"""

Say = Callable[[str], None]


@dataclass
class Outcome:
    """What a scenario came to. Times are in seconds from the fault, or lengths of gaps."""

    scenario: Scenario
    sagas: int = 0
    database_gap: float = 0
    first_read: float = 0
    first_write: float = 0
    read_gap: float = 0
    write_gap: float = 0
    step_gap: float = 0
    lost: int = 0
    told: int = 0
    ends: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Play:
    """One scenario on one cluster, with a database of its own."""

    def __init__(
        self, cluster: Cluster, scenario: Scenario, provider: Server, books: str, say: Say, logs: Path | None
    ) -> None:
        self.cluster, self.scenario, self.provider, self.books, self._logs = cluster, scenario, provider, books, logs
        self.outcome = Outcome(scenario)
        self._begun, self._say_on = time.monotonic(), say

    def say(self, what: str) -> None:
        self._say_on(f"{self.scenario.name:28} {time.monotonic() - self._begun:6.1f} s  {what}")

    def run(self) -> Outcome:
        self.cluster.set(self.scenario.settings)
        database = self.cluster.fresh_database()
        url = self.cluster.url(self.scenario.way, database)
        provider = f"{self.provider.base}/sandbox"
        with ExitStack() as stack:
            keepers = stack.enter_context(kept_servers(url, SERVERS, provider_url=provider))
            load = Load([keeper.server for keeper in keepers], random.Random(self.scenario.name))
            load.open_accounts()
            followers = [Follower(keeper.server) for keeper in keepers]
            threads = [follower.follow() for follower in followers]
            self.say(f"{SERVERS} servers through {self.scenario.way}, {self.scenario.settings.name}")
            self._load(Scene(self.cluster, keepers, load), url)
            self._count(database, keepers, load, followers)
            for follower in followers:
                follower.stop()
            for keeper in keepers:
                self.outcome.ends += keeper.ends
                self._keep(f"server-{keeper.server.port}.log", keeper.server.said)
            for node in self.cluster.nodes:
                self._keep(f"node-{node.name}.log", node.patroni.said())
        for thread in threads:
            thread.join(30)
        return self.outcome

    def _load(self, scene: Scene, url: str) -> None:
        servers = [keeper.server for keeper in scene.keepers]
        watchers = [Watcher(partial(reads, server)) for server in servers]
        base = Watcher(partial(can_be_written, url))
        with scene.load.running(CLIENTS):
            wait_for(lambda: len(scene.load.placed) >= BEFORE, "some sagas are placed")
            self.say(str(self.scenario.fault.__doc__))
            self.scenario.fault(scene)
            self.say(f"over; {len(scene.load.placed)} sagas are placed")
            self.cluster.restore()
            self.say("the cluster is whole")
            placed = len(scene.load.placed)
            wait_for(lambda: len(scene.load.placed) >= placed + AFTER, "some more sagas are placed", 240)
        for watcher in (*watchers, base):
            watcher.stop()
        self._measure(scene, [watcher.looks for watcher in watchers], base.looks)

    def _measure(self, scene: Scene, read: list[Looks], base: Looks) -> None:
        written, fault, outcome = Looks(scene.load.writes), scene.began, self.outcome
        outcome.sagas = len(scene.load.placed)
        outcome.database_gap = base.longest_gap(fault)
        outcome.first_read = max(looks.first_after(fault) for looks in read)
        outcome.read_gap = max(looks.longest_gap(fault) for looks in read)
        outcome.first_write, outcome.write_gap = written.first_after(fault), written.longest_gap(fault)

    def _count(self, database: str, keepers: list[Keeper], load: Load, followers: list[Follower]) -> None:
        all_ready(keepers)
        servers = [keeper.server for keeper in keepers]
        with self.cluster.connect(database) as sql, psycopg.connect(self.books, autocommit=True) as books:
            self._note(load.odd)
            self._note(counting.settle(sql))
            self._losses(sql, load)
            row = sql.execute(STEPS.encode()).fetchone()
            self.outcome.step_gap = float(row[0]) if row and row[0] is not None else 0.0
            self.say("counting")
            self._note(counting.sagas(sql, load, self._went_back(followers)))
            self._note(counting.money(sql, load, PAYMENT * len(load.deposited)))
            self._note(counting.effects(books, load))
            self._note(counting.dbos(sql))
            self._note(counting.servers(sql, servers))
            self._note(counting.read_models(servers[-1]))
            feed = counting.feed(sql)
            for follower in followers:
                self._followed(follower, feed)

    def _went_back(self, followers: list[Follower]) -> bool:
        return bool(self.outcome.lost or any(follower.told for follower in followers))

    def _losses(self, sql: psycopg.Connection, load: Load) -> None:
        """What was acknowledged and is gone is counted; its clients send it again, with the same keys."""
        sagas, payments = counting.gone(sql, load)
        self.outcome.lost = len(sagas) + len(payments)
        if not self.outcome.lost:
            return
        self.say(f"{len(sagas)} sagas and {len(payments)} payments were acknowledged and are gone")
        if not self.scenario.may_lose:
            self._note([f"acknowledged and gone: {', '.join([*sagas, *payments])}"])
        self._note(counting.losses(sql))
        self._note(counting.money(sql, load, PAYMENT * (len(load.deposited) - len(payments))))
        load.again(sagas, payments)
        self._note(counting.settle(sql))

    def _followed(self, follower: Follower, feed: list[str]) -> None:
        wait_until = time.monotonic() + 20
        while not follower.has(feed[-1]) and time.monotonic() < wait_until:
            time.sleep(0.1)
        self._note(follower.wrong(feed))
        self.outcome.told += len(follower.told)
        for after, name, data in follower.told:
            self.say(f"the follower of port {follower.server.port} was told after {after} events: {name} {data[:200]}")

    def _keep(self, name: str, said: str) -> None:
        if self._logs is not None:
            folder = self._logs / self.scenario.name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(said)

    def _note(self, wrong: Iterable[str]) -> None:
        for each in wrong:
            self.say(f"WRONG: {each}")
            self.outcome.wrong.append(each)
