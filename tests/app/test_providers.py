"""A provider that is down is one line, and when it is back the sagas that waited for it go on."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest
from sqlalchemy import URL

from app.gateways.gate import FAILURES, Gate, NoAnswer
from app.store.database import conninfo
from app.store.embedded import EmbeddedPostgres
from tests.databases import fresh_database
from tests.server import ROOT, Server, wait_for
from workflows.calls import ProviderDown

ORDERS = 40


@pytest.mark.timeout(170)
def test_sagas_wait_for_a_provider_that_is_down_and_go_on_when_it_is_back(postgres_18: EmbeddedPostgres) -> None:
    url: URL = fresh_database(postgres_18)
    with Server(fresh_database(postgres_18)) as provider:
        provider.start()
        with Server(url, provider_url=f"{provider.base}/sandbox", provider_calls=4) as server:
            server.start()
            provider.kill()
            ids = [f"o-{number}" for number in range(ORDERS)]
            for id in ids:
                server.place_order(id)
            wait_for(lambda: waiting(server) >= ORDERS // 2, "most of them wait")
            (line,) = server.get("/providers")["down"]
            assert line["provider"] == "stock"
            assert line["error"]
            assert not server.get("/workflows", status="compensated")["workflows"]
            events = server.get("/events", type="step-retrying", limit=1000)["events"]
            assert len(events) <= 2 * FAILURES, "they wait, and do not retry"
            assert f"stock is down since {line['down_since'][:10]}" in doctor(url)
            server.post(f"/workflows/{ids[-1]}/cancel", {"reason": "no patience"})
            provider.start()
            for id in ids[:-1]:
                assert server.saga_when_back(id)["status"] == "completed", id
            assert server.saga_when_back(ids[-1])["reason"] == "cancelled: no patience"
            wait_for(lambda: server.get("/providers")["down"] == [], "nothing is down any more")


def waiting(server: Server) -> int:
    return sum(line["waiting"] for line in server.get("/providers")["down"])


def doctor(url: URL) -> str:
    environment = os.environ | {"DATABASE_URL": conninfo(url)}
    command = [sys.executable, "-m", "app", "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


async def fail(gate: Gate, times: int) -> None:
    for number in range(times):
        with pytest.raises(NoAnswer):
            async with gate.call(f"k{number}"):
                raise NoAnswer("connection refused")


async def test_a_gate_closes_after_so_many_failures_in_a_row() -> None:
    gate = Gate("stock", 2)
    await fail(gate, FAILURES - 1)
    async with gate.call("fine"):
        assert gate.outage is None
    await fail(gate, FAILURES - 1)
    assert gate.outage is None, "an answer in between counts"
    await fail(gate, 1)
    assert gate.outage is not None
    assert gate.outage.error == "connection refused"


async def test_a_closed_gate_turns_callers_away_and_counts_each_once() -> None:
    gate = Gate("stock", 2)
    await fail(gate, FAILURES)
    for key in ("a", "b", "a"):
        with pytest.raises(ProviderDown):
            async with gate.call(key):
                raise AssertionError("nobody is called")
    assert gate.outage is not None
    assert gate.outage.waiting == 2


async def test_one_caller_at_a_time_tries_whether_it_is_back() -> None:
    gate = Gate("stock", 2)
    await fail(gate, FAILURES)
    gate._probe_at = 0
    async with gate.call("probe"):
        with pytest.raises(ProviderDown):
            async with gate.call("another"):
                raise AssertionError("only one tries")
    assert gate.outage is None


async def test_an_error_that_is_an_answer_is_no_outage() -> None:
    gate = Gate("stock", 2)
    for _ in range(3 * FAILURES):
        with pytest.raises(ValueError, match="500"):
            async with gate.call("k"):
                raise ValueError("500 internal")
    assert gate.outage is None


async def test_no_more_calls_are_made_at_a_time_than_are_allowed() -> None:
    gate, now, most = Gate("stock", 3), 0, 0

    async def call(number: int) -> None:
        nonlocal now, most
        async with gate.call(f"k{number}"):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

    await asyncio.gather(*map(call, range(50)))
    assert most == 3
