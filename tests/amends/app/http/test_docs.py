"""The page /docs: it loads nothing from elsewhere, and says so to the browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from app.amends.postgres.embedded.server import EmbeddedPostgres
from tests.amends.harness.databases import fresh_database
from tests.amends.harness.server import Server, http


@pytest.fixture(scope="module")
def server(postgres_18: EmbeddedPostgres) -> Iterator[Server]:
    with Server(fresh_database(postgres_18), api_tokens="ann:secret") as server:
        yield server.start()


def get(server: Server, path: str) -> httpx.Response:
    answer = http.get(f"{server.base}{path}", headers={"Authorization": "Bearer secret"})
    assert answer.status_code == 200, answer.text
    return answer


def test_whatever_the_page_loads_comes_from_this_server(server: Server) -> None:
    page = get(server, "/docs")
    loaded = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert [each for each in loaded if ":" in each and not each.startswith("data:")] == []
    files = [each for each in loaded if each.endswith((".js", ".css"))]
    types = [get(server, f"/{each}").headers["content-type"].partition(";")[0] for each in files]
    assert sorted(types) == ["text/css", "text/javascript", "text/javascript"]
    assert "://" not in get(server, "/docs/start.js").text
    assert get(server, "/openapi.json").json()["info"]["title"] == "Amends"


def test_the_browser_is_told_to_load_nothing_else_and_run_nothing_inline(server: Server) -> None:
    page = get(server, "/docs")
    policy = dict(each.strip().split(" ", 1) for each in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert re.findall(r"<script(?![^>]* src=)|<style|style=| on\w+=", page.text) == []


@pytest.mark.parametrize("path", ["/docs", "/docs/start.js", "/openapi.json"])
def test_it_is_behind_the_tokens(server: Server, path: str) -> None:
    assert http.get(f"{server.base}{path}").status_code == 401


def test_a_file_that_there_is_not_is_a_problem(server: Server) -> None:
    answer = http.get(f"{server.base}/docs/..%2fapi.py", headers={"Authorization": "Bearer secret"})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
