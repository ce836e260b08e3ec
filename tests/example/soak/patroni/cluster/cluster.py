"""Three nodes of Patroni, their etcd, and the HAProxy before them."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg

from tests.amends.harness.databases import memory
from tests.example.server import http, wait_for
from tests.example.soak.patroni.cluster.network import CLIENTS, ETCD, Network, network
from tests.example.soak.patroni.cluster.node import NAMES, NUMBERS, PASSWORD, Node
from tests.example.soak.patroni.cluster.processes import Program, give
from tests.example.soak.patroni.cluster.programs import find

HAPROXY_CFG = Path(__file__).parents[5] / "docs" / "high-availability" / "haproxy.cfg"
PORT = 5000
WHOLE_SECONDS = 180.0
AS_SET = "select current_setting('synchronous_standby_names') <> '', current_setting('wal_sender_timeout')"


@dataclass(frozen=True)
class Settings:
    """What differs between scenarios in the settings of the cluster; the rest is that of patroni.yml."""

    name: str
    synchronous: bool = True
    strict: bool = False
    ttl: int = 20
    failsafe: bool = True
    wal_sender_timeout: str = "10s"
    maximum_lag_on_failover: int = 1024**2

    @property
    def wanted(self) -> dict[str, Any]:
        parameters = {"wal_sender_timeout": self.wal_sender_timeout}
        modes = {"synchronous_mode": self.synchronous, "synchronous_mode_strict": self.strict}
        others = {
            "ttl": self.ttl,
            "failsafe_mode": self.failsafe,
            "maximum_lag_on_failover": self.maximum_lag_on_failover,
        }
        return modes | others | {"postgresql": {"parameters": parameters}}


RECOMMENDED = Settings("synchronous")


class Cluster:
    """Everything between an application and its data."""

    def __init__(self, folder: Path, network: Network) -> None:
        self.network, self.settings = network, RECOMMENDED
        self.nodes = [Node(name, folder, network) for name in NAMES]
        address = network.address(ETCD)
        self.etcd = Program(
            folder,
            "etcd",
            [
                *(str(find("etcd")), "--data-dir", str(folder / "etcd"), "--log-level", "warn"),
                *(
                    "--listen-client-urls",
                    f"http://{address}:2379",
                    "--advertise-client-urls",
                    f"http://{address}:2379",
                ),
                *("--listen-peer-urls", f"http://{address}:2380", "--unsafe-no-fsync", "--enable-v2"),
            ],
            {},
            (),
        )
        places = {f"NODE_{node.name.upper()}": node.address for node in self.nodes}
        places |= {
            "HAPROXY_LISTEN": f"{network.address(CLIENTS)}:{PORT}",
            "HAPROXY_SOCKET": str(folder / "haproxy.sock"),
        }
        settings = folder / "haproxy.cfg"
        settings.write_text(HAPROXY_CFG.read_text())
        self.haproxy = Program(folder, "haproxy", [str(find("haproxy")), "-db", "-f", str(settings)], places, ())

    def start(self) -> None:
        for program in (self.etcd, self.haproxy):
            program.start()
        for node in self.nodes:
            node.start()
        wait_for(self.whole, "a leader and two replicas", WHOLE_SECONDS)

    def close(self) -> None:
        for node in self.nodes:
            node.thaw()
            node.stop()
        for program in (self.haproxy, self.etcd):
            program.kill()
        self.network.close()

    def restore(self) -> None:
        """Whatever was done to it is undone: all nodes run, see each other, and have what the leader has."""
        for node in self.nodes:
            if self.network.can_cut:
                node.mend()
            node.thaw()
            node.start()
        if not self.etcd.running():
            self.etcd.start()
        wait_for(self.whole, "a leader and two replicas that are up to date", WHOLE_SECONDS)

    def members(self) -> list[dict[str, Any]]:
        """What Patroni says of its cluster, from whoever answers."""
        for node in self.nodes:
            with suppress(httpx.TransportError, ValueError, KeyError):
                return list(http.get(f"http://{node.address}:8008/cluster", timeout=2).json()["members"])
        return []

    def whole(self) -> bool:
        members = self.members()
        well = all(
            each["role"] in ("leader", "master") or (each["state"] in ("running", "streaming") and each.get("lag") == 0)
            for each in members
        )
        followed = not self.settings.synchronous or any(each["role"] == "sync_standby" for each in members)
        one_line = len({each.get("timeline") for each in members}) == 1
        return len(members) == len(self.nodes) and well and followed and one_line

    def leader(self) -> Node:
        """Who holds the leader's key and is the primary."""
        found: list[Node] = []

        def known() -> bool:
            found[:] = [node for node in self.nodes if node.status().get("role") in ("master", "primary")]
            return len(found) == 1

        wait_for(known, "there is one primary", WHOLE_SECONDS)
        return found[0]

    def replicas(self) -> list[Node]:
        leader = self.leader()
        return [node for node in self.nodes if node is not leader]

    def set(self, settings: Settings) -> None:
        """Change the settings of the whole cluster, as patronictl edit-config does."""
        self.settings = settings
        answer = http.patch(f"http://{self.leader().address}:8008/config", json=settings.wanted)
        assert answer.status_code == 200, answer.text
        wait_for(self._as_set, f"its settings are {settings}", WHOLE_SECONDS)
        wait_for(self.whole, "a leader and two replicas", WHOLE_SECONDS)

    def _as_set(self) -> bool:
        with suppress(psycopg.Error), self.connect("postgres", "postgres") as sql:
            row = sql.execute(AS_SET).fetchone()
            return row == (self.settings.synchronous, self.settings.wal_sender_timeout)
        return False

    def switch_over(self) -> None:
        """Ask the leader to give its place to another node."""
        leader = self.leader()
        answer = http.post(f"http://{leader.address}:8008/switchover", json={"leader": leader.name}, timeout=60)
        assert answer.status_code == 200, answer.text

    # -- where clients connect to

    def url(self, way: str, database: str) -> str:
        """What DATABASE_URL is; of several hosts the primary is first, the worst place for one that stands still."""
        if way == "multi-host":
            return self._multi_host(database, "amends", [self.leader(), *self.replicas()])
        return f"postgresql://amends:{PASSWORD}@{self.network.address(CLIENTS)}:{PORT}/{database}"

    def connect(self, database: str, user: str = "amends") -> psycopg.Connection:
        """A connection to the primary, past HAProxy."""
        return psycopg.connect(self._multi_host(database, user, self.nodes), connect_timeout=3, autocommit=True)

    @staticmethod
    def _multi_host(database: str, user: str, nodes: Sequence[Node]) -> str:
        """The URL of several nodes, of which a client takes the one that can be written to."""
        hosts = ",".join(f"{node.address}:5432" for node in nodes)
        return f"postgresql://{user}:{PASSWORD}@{hosts}/{database}?target_session_attrs=read-write"

    def fresh_database(self) -> str:
        """The name of a new, empty database of the role that the servers are."""
        name = f"soak_{uuid.uuid4().hex[:8]}"
        with self.connect("postgres", "postgres") as sql:
            known = sql.execute("select from pg_roles where rolname = 'amends'").fetchone()
            if known is None:
                sql.execute(f"create role amends login createrole password '{PASSWORD}'")
            sql.execute(f"create database {name} owner amends")
        return name


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster in a folder of its own, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="amends-patroni-", dir=memory()))
    folder.chmod(0o755)
    give(folder)
    made = Cluster(folder, network(NUMBERS))
    try:
        made.start()
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)
