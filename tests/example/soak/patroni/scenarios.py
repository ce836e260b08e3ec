"""The scenarios: a fault, with which settings of the cluster, and through what the servers reach it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tests.example.soak.patroni import faults
from tests.example.soak.patroni.cluster.cluster import RECOMMENDED, Settings

Way = Literal["haproxy", "multi-host"]


@dataclass(frozen=True)
class Scenario:
    name: str
    fault: faults.Fault
    settings: Settings = RECOMMENDED
    way: Way = "haproxy"
    may_lose: bool = False
    """Whether commits that were acknowledged may be lost: then all is counted, told, and consistent."""
    cuts: bool = False


ASYNC = Settings("asynchronous", synchronous=False)
STRICT = Settings("strict", strict=True)
LAGGING = Settings("asynchronous, any lag", synchronous=False, failsafe=False, maximum_lag_on_failover=1024**3)
"""With failsafe_mode a replica that the primary does not see any more does not take over, however little it lacks."""
LATE = Settings("synchronous, noticed late", ttl=60, failsafe=False, wal_sender_timeout="1min")
"""A replica that stands still is waited for, and may take over, for a minute."""

SCENARIOS = [
    Scenario("switchover", faults.switchover),
    Scenario("switchover-async", faults.switchover, ASYNC),
    Scenario("switchover-multi-host", faults.switchover, way="multi-host"),
    Scenario("kill-primary", faults.kill_primary),
    Scenario("kill-primary-async", faults.kill_primary, ASYNC, may_lose=True),
    Scenario("kill-primary-multi-host", faults.kill_primary, way="multi-host"),
    Scenario("kill-postgres", faults.kill_postgres),
    Scenario("kill-server-too", faults.kill_server_too),
    Scenario("freeze-primary", faults.freeze_primary),
    Scenario("freeze-primary-async", faults.freeze_primary, ASYNC, may_lose=True),
    Scenario("freeze-primary-multi-host", faults.freeze_primary, way="multi-host"),
    Scenario("freeze-replicas", faults.freeze_replicas),
    Scenario("freeze-replicas-strict", faults.freeze_replicas, STRICT),
    Scenario("freeze-replicas-unnoticed", faults.freeze_replicas_unnoticed, LATE),
    Scenario("freeze-replicas-async", faults.freeze_replicas, ASYNC),
    Scenario("freeze-replicas-lagging", faults.freeze_replicas_unnoticed, LAGGING, may_lose=True),
    Scenario("cut-primary", faults.cut_primary, cuts=True),
    Scenario("cut-primary-from-nodes", faults.cut_primary_from_nodes, cuts=True),
    Scenario("cut-primary-from-nodes-async", faults.cut_primary_from_nodes, ASYNC, may_lose=True, cuts=True),
    Scenario("all-away", faults.all_away),
]
