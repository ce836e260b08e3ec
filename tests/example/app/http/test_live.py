"""The live feed: every event once, in order, across reconnects, servers and a held-back end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from tests.amends.harness.databases import fresh_database
from tests.example.app.sagas.test_accounts import opening
from tests.example.server import Server, http, problem, wait_for


@pytest.fixture(scope="module")
def url(postgres_18: EmbeddedPostgres) -> URL:
    return fresh_database(postgres_18)


@pytest.fixture(scope="module")
def server(url: URL) -> Iterator[Server]:
    with Server(url) as server:
        yield server.start()


class Follower(threading.Thread):
    """Reads server-sent events until it is told to stop, or has so many."""

    def __init__(self, base: str, most: int = 10**9, last: str | None = None, **parameters: str) -> None:
        super().__init__(daemon=True)
        self.events: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.connected = threading.Event()
        self.broken = False
        self._base, self._most, self._parameters = base, most, parameters
        self._headers = {"Last-Event-ID": last} if last else {}
        self.start()

    def run(self) -> None:
        try:
            self._follow()
        except httpx.TransportError:
            self.broken = True

    def _follow(self) -> None:
        url = f"{self._base}/events/live"
        with http.stream("GET", url, params=self._parameters, headers=self._headers, timeout=30) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            data = ""
            for line in answer.iter_lines():
                self.connected.set()
                if line.startswith("data: "):
                    data = line.removeprefix("data: ")
                if line.startswith("id: "):
                    self.events.append(json.loads(data))
                    self.ids.append(line.removeprefix("id: "))
                    if len(self.events) >= self._most:
                        return

    @property
    def positions(self) -> list[int]:
        return [event["position"] for event in self.events]


def deposits(server: Server, count: int) -> str:
    id = f"a-{uuid4().hex[:8]}"
    server.post("/accounts", opening(id))
    for _ in range(count - 1):
        server.post(f"/accounts/{id}/deposit", {"amount": 1})
    return f"account-{id}"


def test_what_happens_is_told_as_it_happens(server: Server) -> None:
    follower = Follower(server.base)
    assert follower.connected.wait(10)
    stream = deposits(server, 5)
    wait_for(lambda: len([e for e in follower.events if e["stream"] == stream]) == 5, "all five came")
    seen = next(event for event in follower.events if event["stream"] == stream)
    assert seen == server.get(f"/streams/{stream}")["events"][0]
    assert "Ann Example" not in json.dumps(follower.events)


def test_reconnecting_misses_nothing_and_repeats_nothing(server: Server) -> None:
    stream = deposits(server, 20)
    seen: list[int] = []
    last: str | None = None
    for most in (1, 2, 7, 10):
        part = Follower(server.base, most, last, stream=stream)
        part.join(20)
        seen += part.positions
        last = part.ids[-1]
    assert seen == [event["position"] for event in server.get(f"/streams/{stream}")["events"]]


def test_filters_and_the_place_to_begin_are_those_of_the_feed(server: Server) -> None:
    stream = deposits(server, 4)
    events = server.get(f"/streams/{stream}")["events"]
    after = Follower(server.base, 2, stream=stream, after=str(events[1]["position"]))
    after.join(20)
    assert after.positions == [event["position"] for event in events[2:]]
    typed = Follower(server.base, 3, stream=stream, type="money-deposited")
    typed.join(20)
    assert {event["type"] for event in typed.events} == {"money-deposited"}
    state = Follower(server.base, 1, correlation_id=events[0]["metadata"]["correlation_id"])
    state.join(20)
    assert state.positions == [events[0]["position"]]


@pytest.mark.parametrize("after", ["nonsense", "999999", "1-999999999999-1", "9-9-9", "\uff11-\uff11-\uff11"])
def test_a_bad_place_is_named_before_anything_is_streamed(server: Server, after: str) -> None:
    for path in ("/events/live", "/events", "/streams/account-1"):
        said = problem(http.get(f"{server.base}{path}", params={"after": after}), 422, "invalid")
        assert said["errors"][0]["field"] == "after"


def test_what_another_server_writes_is_told_too(server: Server, url: URL) -> None:
    with Server(url) as other:
        other.start()
        follower = Follower(server.base)
        assert follower.connected.wait(10)
        stream = deposits(other, 3)
        wait_for(lambda: len([e for e in follower.events if e["stream"] == stream]) == 3, "all three came")


def test_an_open_transaction_holds_the_feed_back_and_is_named(server: Server, url: URL) -> None:
    with psycopg.connect(conninfo(url)) as holder:
        holder.execute("select pg_current_xact_id()")
        follower = Follower(server.base)
        stream = deposits(server, 2)
        pid = holder.info.backend_pid
        wait_for(lambda: f"amends_feed_held_back_pid {float(pid)}" in metrics(server), "the holder is named")
        assert not [event for event in server.get("/events", limit=1000)["events"] if event["stream"] == stream]
        assert not [event for event in follower.events if event["stream"] == stream]
        holder.rollback()
    wait_for(lambda: len([e for e in follower.events if e["stream"] == stream]) == 2, "both came then")
    assert "amends_feed_held_back_seconds" in metrics(server)


def test_a_server_that_stops_lets_its_followers_go(url: URL) -> None:
    with Server(url) as server:
        server.start()
        follower = Follower(server.base)
        assert follower.connected.wait(10)
        assert server.stop() == 0
        follower.join(10)
        assert not follower.is_alive()
        assert not follower.broken, "the stream ended as it should"


def metrics(server: Server) -> str:
    answer = http.get(f"{server.base}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return answer.text


def test_metrics_tell_of_this_process_and_of_the_database(server: Server) -> None:
    told = metrics(server)
    for line in ("amends_executor_ready 1.0", 'amends_sagas{status="stuck"} 0.0', "amends_executors 1.0"):
        assert line in told, told
    assert "amends_events_newest_position" in told
