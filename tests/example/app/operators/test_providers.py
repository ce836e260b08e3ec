"""A provider that is down is one line, and when it is back the sagas that waited for it go on."""

from __future__ import annotations

import pytest
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from tests.amends.harness.databases import fresh_database
from tests.amends.harness.program import amends
from tests.example.server import Server, wait_for

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
            assert not server.get("/events", type="step-retrying", limit=1000)["events"], "nothing was sent"
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
    done = amends("doctor", on=url)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout
