"""Names in paths and parameters that are odd: reached where they may be stored, refused with a problem where not."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from tests.amends.harness.databases import fresh_database
from tests.example.server import ROOT, Server, http

ODD = ["a/b", "a//b", "/", "a/state", "%2F", "a%2Fb", "100%", "ä ö", "a?b#c", "a+b", "..", "."]


OPENED = (ROOT / "tests" / "samples" / "account-opened.1.json").read_text()


@pytest.fixture(scope="module")
def server(postgres_18: EmbeddedPostgres) -> Iterator[Server]:
    url = fresh_database(postgres_18)
    with Server(url) as server:
        server.start()
        with psycopg.connect(conninfo(url)) as sql:
            for number, id in enumerate(ODD):
                sql.execute(
                    "insert into amends.events (id, stream, version, type, schema_version, data, metadata)"
                    " values (md5(%s)::uuid, %s, 1, 'account-opened', 1, %s, '{}')",
                    (str(number), f"account-{id}", OPENED),
                )
        yield server


@pytest.mark.parametrize("number", range(len(ODD)))
def test_a_stream_is_reached_by_its_name_whatever_that_holds(server: Server, number: int) -> None:
    name = f"account-{ODD[number]}"
    encoded = quote(name, safe="")
    events = server.get(f"/streams/{encoded}")["events"]
    assert [event["stream"] for event in events] == [name]
    assert server.get(f"/streams/{encoded}/state")["stream"] == name
    assert server.get(f"/streams/{encoded}/difference")["changes"]
    undone = http.post(f"{server.base}/streams/{encoded}/undo", json={"reason": "odd"}, headers={"If-Match": "7"})
    assert undone.status_code == 412, undone.text


def operations(server: Server) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Method, path and parameters of every route."""
    for path, methods in server.get("/openapi.json")["paths"].items():
        for method, told in methods.items():
            yield method.upper(), path, told.get("parameters", [])


@pytest.mark.parametrize("odd", ["%00", "a%00b", "%ED%A0%BD", "%FF"])
def test_what_cannot_be_stored_is_refused_in_every_path_and_parameter(server: Server, odd: str) -> None:
    asked = 0
    for method, path, parameters in operations(server):
        filled = re.sub(r"{[^}]*}", odd, path)
        urls = [filled] if filled != path else []
        plain = re.sub(r"{[^}]*}", "x", path)
        names = [each["name"] for each in parameters if each["in"] == "query"]
        urls += [f"{plain}?{name}={odd}" for name in names if "live" not in path]
        urls += [f"{plain}?{odd}=1"] if "live" not in path else []
        for url in urls:
            answer = http.request(method, server.base + url, json={"reason": "odd"} if method == "POST" else None)
            assert answer.status_code < 500, (method, url, answer.text)
            asked += 1
    assert asked > 60


@pytest.mark.parametrize(
    "read",
    [
        "[" * 100_000,
        '["a"]',
        '["2026-01-01T00:00:00Z", [[]]]',
        "1",
        '["x", "y"]',
        '["2026-01-01T00:00:00Z", "a\\u0000"]',
    ],
    ids=range(6),
)
def test_a_cursor_that_was_not_given_out_is_refused(server: Server, read: str) -> None:
    cursor = base64.urlsafe_b64encode(read.encode()).decode().rstrip("=")
    answer = http.get(f"{server.base}/workflows", params={"cursor": cursor[:60_000]})
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "[", "", "null", "http://evil.example"])
def test_an_origin_that_is_no_address_is_another_website(server: Server, origin: str) -> None:
    answer = http.get(f"{server.base}/workflows", headers={"Origin": origin})
    assert answer.status_code == 403, answer.text
