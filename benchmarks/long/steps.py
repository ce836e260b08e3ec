"""What a wake, a signal and a page cost a saga of many steps, asked of a server over HTTP."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from benchmarks.long.growth import Figures, Rounds, grown, slope
from benchmarks.long.server import Client, Pulse, server
from benchmarks.long.subscription import NAME

STEPS = (100, 1_000, 10_000)
ROUNDS, PAGES, SIGNALS = 7, 5, 20
WAIT_SECONDS = 250
LAST = 100
"""The further page is that of so many last steps, as many for each length."""

VERSION = "select coalesce(max(version), 0) from amends.events where stream = %s"
WOKEN = """
select extract(epoch from max(recorded_at) filter (where type = 'saga-waiting') - min(recorded_at))::float8 * 1000
  from amends.events where stream = %s and version > %s"""
"""From the signal, which is the first event after a version, until the saga has noted that it waits again."""

Sql = psycopg.Connection


def measure(owner: URL, advance: Callable[[], None]) -> dict[str, Any]:
    """Really run a saga of each length, then ask about each in turn, in rounds. `advance` is called once for each."""
    rounds: Rounds = {steps: [] for steps in STEPS}
    with (
        server("benchmarks.long.subscription", owner) as base,
        psycopg.connect(conninfo(owner), autocommit=True) as sql,
    ):
        client = Client(base)
        for steps in STEPS:
            _begin(client, steps)
            _wake(client, sql, steps)
            advance()
        with Pulse(Client(base)) as pulse:
            idle = _idle(pulse)
            for _ in range(ROUNDS):
                for steps in STEPS:
                    rounds[steps].append(_ask(client, sql, pulse, steps))
                    advance()
            for number in range(ROUNDS):
                for steps in STEPS:
                    rounds[steps][number] |= _timed("signal", pulse, partial(_remarks, client, steps))
                    advance()
    per_step = {name: slope(rounds, f"{name}_ms") for name in ("wake", "page", "further", "signal")}
    return grown(rounds) | {"us_per_step": per_step, "idle_healthz_ms": round(idle, 2)}


UNITS = len(STEPS) * (1 + 2 * ROUNDS)
"""How often `advance` is called."""


def _begin(client: Client, steps: int) -> None:
    """Run a saga until it has done so many steps and waits."""
    client.ask("POST", f"/workflows/{NAME}", steps, Idempotency_Key=_id(steps))
    client.ask("GET", f"/workflows/{_id(steps)}?wait={WAIT_SECONDS}")


def _ask(client: Client, sql: Sql, pulse: Pulse, steps: int) -> Figures:
    """One round of one saga, without the signals that would lengthen its story."""
    path = f"/workflows/{_id(steps)}"
    return {
        **_timed("wake", pulse, lambda: _wake(client, sql, steps)),
        **_timed("page", pulse, lambda: _pages(client, path)),
        **_timed("further", pulse, lambda: _pages(client, f"{path}?steps_after={steps - LAST}")),
    }


def _timed(name: str, pulse: Pulse, measured: Callable[[], float]) -> Figures:
    """What is measured, and how long /healthz took meanwhile at most."""
    pulse.longest()
    return {f"{name}_ms": measured(), f"{name}_healthz_ms": pulse.longest()}


def _wake(client: Client, sql: Sql, steps: int) -> float:
    """Tell a saga what it waits for; milliseconds until it has done one more step and waits again."""
    stream = f"saga-{_id(steps)}"
    (before,) = sql.execute(VERSION, (stream,)).fetchone() or (0,)
    client.ask("POST", f"/workflows/{_id(steps)}/signals/renewal", {"number": 1})
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        (took,) = sql.execute(WOKEN, (stream, before)).fetchone() or (None,)
        if took is not None:
            return float(took)
        time.sleep(0.01)
    raise RuntimeError(f"{_id(steps)} does not wait again within {WAIT_SECONDS} s")


def _pages(client: Client, path: str) -> float:
    return statistics.median(client.timed("GET", path) for _ in range(PAGES))


def _remarks(client: Client, steps: int) -> float:
    """Tell a saga what it does not wait for."""
    path = f"/workflows/{_id(steps)}/signals/remark"
    return statistics.median(client.timed("POST", path, {"number": number}) for number in range(SIGNALS))


def _idle(pulse: Pulse) -> float:
    """How long /healthz takes at most while nobody asks for anything."""
    pulse.longest()
    time.sleep(2)
    return pulse.longest()


def _id(steps: int) -> str:
    return f"{NAME}-{steps}"
