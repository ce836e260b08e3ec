"""A server whose Postgres loses commits and is started again: who follows, waits and reads is told, and goes on."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import httpx
import psycopg
import pytest
from sqlalchemy import URL

from app.amends.doctor.database import run_checks
from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from app.amends.schema.catalogue import load_catalogue
from tests.amends.harness.databases import MIGRATIONS, fresh_database
from tests.amends.harness.losing import crash, lose_commits, losing_cluster, stop_flushing
from tests.example.app.http.test_live import deposits
from tests.example.app.sagas.test_accounts import opening
from tests.example.server import Server, http, wait_for

WATCHED = ("amends_history_went_back_total 1.0", "amends_events_lost_total")


class Sent(NamedTuple):
    """A server-sent event."""

    type: str
    id: str
    data: Any


class Follower(threading.Thread):
    """Reads server-sent events of any type, until the stream ends."""

    def __init__(self, base: str, last: str = "0", **parameters: str) -> None:
        super().__init__(daemon=True)
        self.sent: list[Sent] = []
        self._url, self._last, self._parameters = f"{base}/events/live", last, parameters
        self.start()

    def run(self) -> None:
        with suppress(httpx.TransportError):  # the server ends
            self._follow()

    def _follow(self) -> None:
        headers, told = {"Last-Event-ID": self._last}, dict[str, str]()
        with http.stream("GET", self._url, params=self._parameters, headers=headers, timeout=60) as answer:
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                told |= {name: value}
                if not line and "data" in told:
                    self.sent.append(Sent(told.get("event", ""), told["id"], json.loads(told["data"])))
                if not line:
                    told = {}

    @property
    def streams(self) -> list[str]:
        return [each.data["stream"] for each in self.sent if not each.type]

    @property
    def told(self) -> list[Sent]:
        return [each for each in self.sent if each.type]


@pytest.fixture(scope="module")
def losing() -> Iterator[EmbeddedPostgres]:
    yield from losing_cluster()


@pytest.fixture(scope="module")
def url(losing: EmbeddedPostgres) -> URL:
    return fresh_database(losing)


@pytest.fixture(scope="module")
def server(url: URL) -> Iterator[Server]:
    with Server(url) as server:
        yield server.start()


class Lost(NamedTuple):
    """What is known from before: two followers, one of all and one of a lost stream, and tokens."""

    everything: Follower
    of_lost: Follower
    kept: str
    lost: str
    token: str
    noted: int


@pytest.fixture(scope="module")
def lost(url: URL, losing: EmbeddedPostgres, server: Server) -> Lost:
    """Three events that were answered and read, and are gone."""
    with psycopg.connect(conninfo(url), autocommit=True) as sql:
        # As if what the server noted at its start was lost too.
        sql.execute("set session_replication_role = replica")
        noted = sql.execute("delete from amends.shapes returning 1").rowcount
    kept = deposits(server, 2)
    everything = Follower(server.base)
    wait_for(lambda: everything.streams.count(kept) == 2, "what is kept is followed")
    stop_flushing(losing)
    lose_commits(url)
    wait_for(lambda: is_ready(server), "the server has other connections")
    stream = deposits(server, 3)
    of_lost = Follower(server.base, stream=stream)
    wait_for(lambda: min(each.streams.count(stream) for each in (everything, of_lost)) == 3, "so is what is lost")
    token = server.get(f"/streams/{stream}")["next"]
    crash(losing)
    wait_for(lambda: is_ready(server), "the server is back")
    return Lost(everything, of_lost, kept, stream, token, noted)


def without_run(token: str) -> str:
    """A token, whenever it was given out."""
    return token.rpartition("-")[0]


def is_ready(server: Server) -> bool:
    return http.get(f"{server.base}/readyz").status_code == 200


def test_those_who_follow_are_told_and_go_on(server: Server, lost: Lost) -> None:
    wait_for(lambda: lost.everything.told and lost.of_lost.told, "both are told")
    new = deposits(server, 2)
    wait_for(lambda: lost.everything.streams.count(new) >= 2, "what is new is followed")
    told = lost.everything.told[0]  # once the loss is on record it may be told once more
    assert told.type == "history-went-back"
    first = next(each for each in lost.everything.sent if each.data.get("stream") == lost.lost)
    assert told.data["place"] == first.id
    assert told.data["stands"] == told.id
    assert without_run(told.id) == without_run([each for each in lost.everything.sent if not each.type][1].id)
    assert not [each for each in server.get("/events", limit=1000)["events"] if each["stream"] == lost.lost]


def test_whoever_comes_back_with_the_id_of_a_lost_event_is_told_too(server: Server, lost: Lost) -> None:
    follower = Follower(server.base, last=lost.token)
    wait_for(lambda: follower.told, "it is told")
    assert follower.sent[0].data["place"] == lost.token
    page = http.get(f"{server.base}/events", params={"after": lost.token})
    assert (page.status_code, page.json()["type"]) == (409, "urn:amends:problem:history-went-back")
    assert without_run(page.json()["stands"]) == without_run(follower.sent[0].id)


def test_it_is_a_warning_a_metric_and_a_finding(server: Server, url: URL, lost: Lost) -> None:
    wait_for(lambda: "WARNING amends.store: History went back: at least" in server.said, "it is a warning")
    told = http.get(f"{server.base}/metrics").text
    assert not [each for each in WATCHED if each not in told]
    finding = next(
        each
        for each in asyncio.run(run_checks(url, load_catalogue().projections, MIGRATIONS))
        if each.what == "history"
    )
    assert not finding.well
    assert "events were gone" in finding.found


def test_whoever_waits_for_a_place_that_is_gone_is_told_at_once(server: Server, lost: Lost) -> None:
    answer = http.get(f"{server.base}/views/account_balances", params={"after_position": lost.token, "timeout": "30"})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:amends:problem:history-went-back")


def test_read_models_are_what_the_events_that_stand_add_up_to(server: Server, lost: Lost) -> None:
    new = server.post("/accounts", opening("a-later")).json()
    rows = server.get("/views/account_balances", after_position=new["position"], limit=1000)["rows"]
    assert lost.lost.removeprefix("account-") not in {row["account_id"] for row in rows}
    assert lost.kept.removeprefix("account-") in {row["account_id"] for row in rows}


def test_what_a_server_noted_at_its_start_is_noted_again(url: URL, lost: Lost) -> None:
    """Shapes that are not noted would let other servers mask by guesswork."""
    assert lost.noted > 0
    with psycopg.connect(conninfo(url), autocommit=True) as sql:
        count = "select count(*) from amends.shapes"
        wait_for(lambda: sql.execute(count).fetchone() == (lost.noted,), "they are noted")
