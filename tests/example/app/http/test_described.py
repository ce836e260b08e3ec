"""The OpenAPI document tells every answer: requests that are made from it meet no other, and no fault of the server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from fastapi import APIRouter
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.amends.composition.route_check import OWN_PATHS
from app.amends.http.api import build_api
from app.amends.http.openapi.answers import service as answers
from app.amends.http.openapi.responses import responds
from app.amends.postgres.embedded.server import EmbeddedPostgres
from tests.amends.harness.databases import fresh_database
from tests.example.server import Server, http, order

OPEN = ("/healthz", "/readyz")
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
KNOWN = {
    "id": ["o-1", "t-1", "a-1", "o-1%2F"],
    "name": ["place-order", "transfer-money", "order_board"],
    "stream": ["account-a-1", "order-o-1", "saga-o-1", "account-nobody"],
    "projection": ["order_board", "account_balances", "workflow_overview"],
    "key": ["o-1", "a-1"],
    "signal": ["approval"],
}
"""Values of paths with which something is found, beside those that are made up."""
NEVER_ENDS = "/events/live"


@pytest.fixture(scope="module")
def server(postgres_18: EmbeddedPostgres) -> Iterator[Server]:
    with Server(fresh_database(postgres_18)) as server:
        server.start()
        assert server.post("/accounts", account("a-1")).status_code == 201
        assert server.post("/accounts", account("a-2")).status_code == 201
        assert server.post("/accounts/a-1/deposit", {"amount": 5}).status_code == 200
        server.place_order("o-1")
        server.saga("o-1")
        for id in ("t-1", "t-2", "t-3", "t-4"):
            assert server.post("/workflows/transfer-money", transfer(id), Idempotency_Key=id).status_code == 202
            assert server.saga(id)["status"] == "waiting"
        yield server


def account(id: str) -> dict[str, Any]:
    return {"account_id": id, "owner": "Ann", "currency": "EUR", "opening_balance": 1_000_000}


def transfer(id: str) -> dict[str, Any]:
    """The input of a transfer that waits for an approval."""
    return {"transfer_id": id, "from_account": "a-1", "to_account": "a-2", "amount": 200_000, "currency": "EUR"}


@pytest.fixture(scope="module")
def document(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = server.get("/openapi.json")
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of every route."""
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            yield method.upper(), path, told


def asked(server: Server, document: dict[str, Any], examples: int) -> int:
    """Make requests from the document, always the same ones, and hold the answers to it; returns how many."""
    schema, count = schemathesis.openapi.from_dict(document), 0
    with requests.Session() as session:
        for found in schema.exclude(path=NEVER_ENDS).get_all_operations():
            assert isinstance(found, Ok)
            operation = found.ok()
            made = st.one_of(*(operation.as_strategy(mode) for mode in GenerationMode))

            @settings(
                max_examples=examples,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(made, st.data())
            def ask(case: Any, data: st.DataObject) -> None:
                nonlocal count
                count += 1
                for name in case.path_parameters or {}:
                    if name in KNOWN and data.draw(st.booleans()):
                        case.path_parameters[name] = data.draw(st.sampled_from(KNOWN[name]))
                for name in ("wait", "timeout"):
                    if isinstance((case.query or {}).get(name), int | float):
                        case.query[name] = min(case.query[name], 0.1)
                answer = case.call(base_url=server.base, session=session, timeout=30)
                assert answer.status_code < 500 or answer.status_code == 503, answer.text
                case.validate_response(answer, checks=CHECKS)

            ask()
    return count


def test_requests_made_from_the_document_meet_no_other_answer(server: Server, document: dict[str, Any]) -> None:
    assert asked(server, document, 5) > 150


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_many_requests_made_from_the_document_meet_no_other_answer(server: Server, document: dict[str, Any]) -> None:
    assert asked(server, document, 400) > 5_000


@pytest.mark.parametrize(
    ("path", "of", "body"),
    [
        ("/accounts", {}, account("a-3")),
        ("/workflows/{name}", {"name": "place-order"}, order("o-2")),
        ("/workflows/{id}/signals/{signal}", {"id": "t-2", "signal": "approval"}, {"approved": True}),
        ("/workflows/{id}/cancel", {"id": "t-3"}, {"reason": "a mistake"}),
    ],
)
def test_what_succeeds_is_answered_as_the_document_says(
    server: Server, document: dict[str, Any], path: str, of: dict[str, str], body: dict[str, Any]
) -> None:
    """Bodies that are made up hardly ever fit here; none of these sagas is one that they know."""
    case = schemathesis.openapi.from_dict(document)[path]["POST"].Case(
        path_parameters=of, body=body, media_type="application/json"
    )
    answer = case.call(base_url=server.base)
    assert answer.status_code in (201, 202), answer.text
    case.validate_response(answer, checks=CHECKS)


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 5000], ids=["half", "bytes", "deep"])
def test_a_body_that_is_no_json_is_said_to_be_so_by_every_route(
    server: Server, document: dict[str, Any], body: bytes
) -> None:
    for method, path, told in operations(document):
        if not told.get("requestBody", {}).get("required"):
            continue
        saga = "place-order" if path.startswith("/workflows") else "order_board"
        where = path.format(id="t-4", name=saga, signal="approval", stream="account-a-1", key="k")
        answer = http.request(
            method, server.base + where, content=body, headers={"Content-Type": "application/json", "If-Match": "*"}
        )
        assert answer.status_code == 400, (path, answer.text)
        assert answer.json()["type"] == "urn:amends:problem:malformed-json", path
        assert answer.json()["detail"].startswith("The body is not JSON: "), path


def test_every_route_tells_its_problems_and_its_security(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    for method, path, told in operations(document):
        where = f"{method} {path}"
        problems = {status for status in told["responses"] if status >= "4"}
        assert {"403", "413", "421", "422", "500", "503"} <= problems, where
        assert ("401" in problems) == (path not in OPEN), where
        assert ("409" in problems and "415" in problems) or method != "POST", where
        assert ("400" in problems) == ("requestBody" in told), where
        assert told["security"] == ([] if path in OPEN else [*({name: []} for name in schemes), {}]), where
        successes = set(told["responses"]) - problems
        parameters = {each["name"] for each in told["parameters"]} | ({"dry_run"} if path.endswith("/bulk") else set())
        at_once = {"wait", "dry_run"} & parameters and method == "POST"
        assert len(successes) == (2 if at_once else 1), where
        for success in successes - {"204"}:
            (content,) = told["responses"][success]["content"].values()
            assert content["schema"] not in ({}, {"type": "object"}), where
        for status in problems:
            answer = document["components"]["responses"][told["responses"][status]["$ref"].rpartition("/")[2]]
            assert list(answer["content"]) == ["application/problem+json"], where


@pytest.mark.parametrize("guarded", [True, False])
def test_a_token_is_wanted_where_tokens_are_set(guarded: bool) -> None:
    router = APIRouter()

    @router.get("/x")
    @responds(answers.Alive)
    async def _x() -> dict[str, Any]:
        return {}

    told = build_api([router], guarded).openapi()
    assert told["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert told["paths"]["/x"]["get"]["security"] == ([{"token": []}] if guarded else [{"token": []}, {}])


def test_the_paths_of_amends_are_kept_from_services(document: dict[str, Any]) -> None:
    assert {path.split("/")[1] for path in document["paths"]} - {"accounts", "sandbox"} <= OWN_PATHS


def test_fastapis_own_422_is_told_nowhere(document: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in json.dumps(document)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_a_method_that_a_path_does_not_take_is_a_problem_that_lists_those_it_does(
    server: Server, document: dict[str, Any], method: str
) -> None:
    for path in document["paths"]:
        plain = path.replace("{", "").replace("}", "")
        taken = {
            each.upper()
            for other, methods in document["paths"].items()
            if re.fullmatch(re.sub("{[^}]*}", "[^/]+", other), plain)
            for each in methods
        }
        taken |= {"HEAD"} if "GET" in taken else set()
        if method not in taken:
            answer = http.request(method, server.base + plain)
            assert answer.status_code == 405, (method, path, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            assert set(answer.headers["allow"].split(", ")) == taken


@pytest.mark.parametrize("path", ["/nothing", "/workflows/", "/workflows/a/b/c", "//", "/%00", "/docs/", "/streams/"])
def test_a_path_that_there_is_not_is_a_problem(server: Server, path: str) -> None:
    answer = http.get(server.base + path)
    assert answer.status_code == 404, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_body_of_another_type_is_a_problem_that_is_told(server: Server, document: dict[str, Any], kind: str) -> None:
    for method, path, told in operations(document):
        if method == "POST":
            url = server.base + path.replace("{", "").replace("}", "")
            answer = http.post(url, content=b"a=b", headers={"Content-Type": kind}, timeout=30)
            assert str(answer.status_code) in told["responses"], (path, answer.text)
            assert answer.status_code < 500
            assert answer.headers["content-type"] == "application/problem+json"
