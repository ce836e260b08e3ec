"""One node: Patroni and its Postgres, to be killed, frozen, and cut off."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.example.server import http
from tests.example.soak.patroni.cluster.network import ETCD, FIRST_NODE, Network
from tests.example.soak.patroni.cluster.processes import Program, give, those_in
from tests.example.soak.patroni.cluster.programs import driver, find, postgres

NAMES = "abc"
NUMBERS = tuple(range(FIRST_NODE, FIRST_NODE + len(NAMES)))
PATRONI_YML = Path(__file__).parents[5] / "docs" / "high-availability" / "patroni.yml"
PASSWORD = "only-on-this-machine"


class Node:
    """Patroni at an address of its own, with the settings that the runbook recommends."""

    def __init__(self, name: str, folder: Path, network: Network) -> None:
        self.name, self.number, self._network = name, FIRST_NODE + NAMES.index(name), network
        self.address = network.address(self.number)
        folder = folder / name
        folder.mkdir()
        give(folder)
        self.data = folder / "data"
        settings = folder / "patroni.yml"
        settings.write_text(PATRONI_YML.read_text())
        patroni = str(find("patroni"))
        self.patroni = Program(
            folder, "patroni", [patroni, str(settings)], self._environment(folder), network.within(self.number)
        )

    def _environment(self, folder: Path) -> dict[str, str]:
        logins = {
            f"PATRONI_{login}_{what}": value
            for login, user in (("SUPERUSER", "postgres"), ("REPLICATION", "replicator"), ("REWIND", "rewinder"))
            for what, value in (("USERNAME", user), ("PASSWORD", PASSWORD))
        }
        return logins | {
            "PATRONI_SCOPE": "amends",
            "PATRONI_NAME": self.name,
            f"PATRONI_{driver()}_HOSTS": f"{self._network.address(ETCD)}:2379",
            "PATRONI_RESTAPI_LISTEN": f"{self.address}:8008",
            "PATRONI_RESTAPI_CONNECT_ADDRESS": f"{self.address}:8008",
            "PATRONI_POSTGRESQL_LISTEN": f"{self.address}:5432",
            "PATRONI_POSTGRESQL_CONNECT_ADDRESS": f"{self.address}:5432",
            "PATRONI_POSTGRESQL_DATA_DIR": str(self.data),
            "PATRONI_POSTGRESQL_BIN_DIR": str(postgres()),
            "PATRONI_POSTGRESQL_PGPASS": str(folder / "pgpass"),
        }

    def start(self) -> None:
        """Start Patroni, which starts its Postgres."""
        if not self.patroni.running():
            self.patroni.start()

    def kill(self) -> None:
        """SIGKILL to Patroni and to its Postgres, as when the machine's power fails."""
        self.patroni.kill()
        self.kill_postgres()

    def stop(self) -> None:
        """An immediate shutdown, in which Postgres gives back its shared memory."""
        self.patroni.kill()
        self._signal(signal.SIGQUIT, those_in(self.data))
        psutil.wait_procs(those_in(self.data), 10)
        self.kill_postgres()

    def kill_postgres(self) -> None:
        """SIGKILL to the Postgres alone: Patroni is there to see it."""
        self._signal(signal.SIGKILL, those_in(self.data))

    def freeze(self) -> None:
        """SIGSTOP to everything on the node."""
        self._signal(signal.SIGSTOP, self._processes())

    def thaw(self) -> None:
        self._signal(signal.SIGCONT, reversed(self._processes()))

    def cut(self) -> None:
        """Cut off from everybody."""
        self._network.cut(self.number)

    def cut_from_nodes(self) -> None:
        """Cut off from etcd and the other nodes, but not from clients."""
        others = [number for number in NUMBERS if number != self.number]
        self._network.cut_from(self.number, [ETCD, *others])

    def mend(self) -> None:
        self._network.mend(self.number)

    def status(self) -> dict[str, Any]:
        """What Patroni says about this node; empty if it does not answer."""
        with suppress(httpx.TransportError, ValueError):
            return dict(http.get(f"http://{self.address}:8008/patroni", timeout=2).json())
        return {}

    def _processes(self) -> list[psutil.Process]:
        patroni = [psutil.Process(self.patroni.process.pid)] if self.patroni.running() and self.patroni.process else []
        return [*patroni, *those_in(self.data)]

    @staticmethod
    def _signal(number: int, processes: Any) -> None:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
