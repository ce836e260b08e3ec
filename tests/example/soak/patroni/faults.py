"""What happens to a cluster while sagas run on it. Each returns once it is over; the cluster is restored afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.example.server import wait_for
from tests.example.soak.patroni.cluster.cluster import Cluster
from tests.example.soak.patroni.cluster.node import Node
from tests.example.soak.patroni.cluster.servers import Keeper
from tests.example.soak.patroni.load import Load

OUTAGE_SECONDS = 120.0
FROZEN_SECONDS = 45.0
CUT_SECONDS = 45.0


@dataclass
class Scene:
    """Where a fault happens, and under which load."""

    cluster: Cluster
    keepers: list[Keeper]
    load: Load
    began: float = 0.0
    """When the fault was there, on this process's clock."""

    def begins(self) -> None:
        self.began = time.monotonic()

    def passes(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        wait_for(lambda: time.monotonic() > until, "the time is over", seconds + 10)

    def another_primary(self, than: Node) -> None:
        """Wait until another node has taken over."""
        others = [node for node in self.cluster.nodes if node is not than]
        roles = ("master", "primary")
        wait_for(lambda: any(node.status().get("role") in roles for node in others), "another primary", 120)


Fault = Callable[[Scene], None]


def switchover(scene: Scene) -> None:
    """An operator moves the primary to another node."""
    scene.begins()
    scene.cluster.switch_over()


def kill_primary(scene: Scene) -> None:
    """The primary's machine loses its power, and comes back after another one took over."""
    primary = scene.cluster.leader()
    primary.kill()
    scene.begins()
    scene.another_primary(primary)
    scene.passes(5)


def kill_postgres(scene: Scene) -> None:
    """The primary's Postgres alone dies; Patroni starts it again."""
    primary = scene.cluster.leader()
    primary.kill_postgres()
    scene.begins()


def freeze_primary(scene: Scene) -> None:
    """The primary's machine stands still, and wakes up when it is none any more."""
    primary = scene.cluster.leader()
    primary.freeze()
    scene.begins()
    scene.passes(FROZEN_SECONDS)
    primary.thaw()
    scene.passes(10)


def freeze_replicas(scene: Scene) -> None:
    """Both replicas stand still; then the primary dies, and they wake up."""
    _freeze_replicas(scene)
    scene.passes(30)


def freeze_replicas_unnoticed(scene: Scene) -> None:
    """The same, but nobody notices before the primary dies: one of them takes over."""
    primary = _freeze_replicas(scene)
    scene.another_primary(primary)
    scene.passes(5)


def _freeze_replicas(scene: Scene) -> Node:
    primary, replicas = scene.cluster.leader(), scene.cluster.replicas()
    for replica in replicas:
        replica.freeze()
    scene.begins()
    scene.passes(40)
    primary.kill()
    for replica in replicas:
        replica.thaw()
    return primary


def kill_server_too(scene: Scene) -> None:
    """A server of Amends dies in the moment in which the primary does."""
    primary = scene.cluster.leader()
    primary.kill()
    scene.keepers[0].server.kill()
    scene.begins()
    scene.another_primary(primary)
    scene.passes(5)


def cut_primary(scene: Scene) -> None:
    """The primary is cut off from everybody, and comes back when another one took over."""
    primary = scene.cluster.leader()
    primary.cut()
    scene.begins()
    scene.passes(CUT_SECONDS)
    primary.mend()
    scene.passes(10)


def cut_primary_from_nodes(scene: Scene) -> None:
    """The primary does not see etcd and the replicas any more; the servers still see it."""
    primary = scene.cluster.leader()
    primary.cut_from_nodes()
    scene.begins()
    scene.passes(CUT_SECONDS)
    primary.mend()
    scene.passes(10)


def all_away(scene: Scene) -> None:
    """All nodes lose their power for two minutes, and etcd as well."""
    for node in scene.cluster.nodes:
        node.kill()
    scene.cluster.etcd.kill()
    scene.begins()
    scene.passes(OUTAGE_SECONDS)
