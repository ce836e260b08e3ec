"""A running server with tokens, and one without: who may do what, and as whom."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from app.amends.postgres.embedded.server import EmbeddedPostgres
from tests.amends.harness.databases import fresh_database
from tests.example.app.sagas.test_accounts import opening
from tests.example.server import Server, http, order, problem, wait_for

TOKENS = "vera:v-secret:viewer,stan:s-secret:starter,olga:o-secret:operator"


@pytest.fixture(scope="module")
def server(postgres_18: EmbeddedPostgres) -> Iterator[Server]:
    with Server(fresh_database(postgres_18), api_tokens=TOKENS) as server:
        yield server.start()


def ask(server: Server, who: str, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
    bearer = {"Authorization": f"Bearer {who[0]}-secret"} | headers
    return http.request(method, f"{server.base}{path}", json=body, headers=bearer, timeout=60)


def transfer(server: Server, id: str, amount: int) -> str:
    for end in ("from", "to"):
        ask(server, "stan", "POST", "/accounts", opening(f"{id}-{end}", opening_balance=10_000_000))
    wanted = {"transfer_id": id, "from_account": f"{id}-from", "to_account": f"{id}-to", "amount": amount}
    started = ask(server, "stan", "POST", "/workflows/transfer-money", wanted | {"currency": "EUR"})
    id = str(started.json()["id"])
    assert ask(server, "stan", "GET", f"/workflows/{id}?wait=30").json()["status"] == "waiting"
    return id


def test_starters_start_and_operators_decide(server: Server) -> None:
    problem(ask(server, "vera", "POST", "/workflows/place-order", order("n-1")), 403, "forbidden")
    started = ask(server, "stan", "POST", "/workflows/place-order", order("n-1"))
    assert started.status_code == 202
    id = started.json()["id"]
    for who in ("vera", "stan"):
        said = problem(ask(server, who, "POST", f"/workflows/{id}/cancel", {"reason": "x"}), 403, "forbidden")
        assert who in said["detail"]
        assert "operator" in said["detail"]
    assert ask(server, "olga", "POST", f"/workflows/{id}/cancel", {"reason": "x"}).status_code in (202, 409)
    for act in ("retry", "skip", "resolve", "compensate", "resume"):
        problem(ask(server, "stan", "POST", f"/workflows/{id}/{act}", {"reason": "x"}), 403, "forbidden")
    problem(ask(server, "stan", "POST", "/projections/order_board/rebuild"), 403, "forbidden")
    problem(ask(server, "stan", "POST", "/streams/account-x/undo", {"reason": "x"}), 403, "forbidden")
    assert ask(server, "vera", "GET", f"/workflows/{id}").status_code == 200


def test_an_approval_is_by_who_sent_it(server: Server) -> None:
    id = transfer(server, "t-1", 500_000)
    signal = f"/workflows/{id}/signals/approval"
    problem(ask(server, "vera", "POST", signal, {"approved": True}), 403, "forbidden")
    said = problem(ask(server, "stan", "POST", signal, {"approved": True, "by": "olga"}), 422, "invalid")
    assert said["errors"][0]["field"] == "by"
    assert ask(server, "olga", "POST", signal, {"approved": True}, **{"X-Actor": "vera"}).status_code == 202
    wait_for(lambda: ask(server, "vera", "GET", f"/workflows/{id}").json()["status"] == "completed", "it is done")
    assert ask(server, "vera", "GET", f"/workflows/{id}").json()["result"]["approved_by"] == "olga"
    events = ask(server, "vera", "GET", f"/workflows/{id}/events").json()["events"]
    assert [event["metadata"]["actor"] for event in events if event["type"] == "signal-received"] == ["olga"]


def test_without_tokens_an_approval_may_name_anybody_and_is_by_the_actor_if_it_names_nobody(
    postgres_18: EmbeddedPostgres,
) -> None:
    with Server(fresh_database(postgres_18)) as server:
        server.start()
        for name, body in (("ann", {"approved": True}), ("bob", {"approved": True, "by": "bob"})):
            id = transfer(server, f"t-{name}", 500_000)
            http.post(f"{server.base}/workflows/{id}/signals/approval", json=body, headers={"X-Actor": "ann"})
            assert server.saga(id)["result"]["approved_by"] == name
        assert http.get(f"{server.base}/metrics").status_code == 200
        for path in ("/workflows", "/", "/docs"):
            problem(http.get(f"{server.base}{path}", headers={"Host": "evil.example"}), 421, "wrong-host")


def test_the_service_alone_calls_its_sandbox_and_strangers_see_nothing(server: Server) -> None:
    charge = {"reference": "r", "amount": 1, "currency": "EUR", "token": "tok_ok"}
    problem(ask(server, "olga", "POST", "/sandbox/payments/charge", charge), 403, "forbidden")
    assert "AMENDS_PROVIDER_URL is not set" in server.said
    for path in ("/metrics", "/docs", "/openapi.json", "/", "/workflows", "/nowhere"):
        problem(http.get(f"{server.base}{path}"), 401, "unauthorised")
        assert http.head(f"{server.base}{path}").status_code == 401
    for path in ("/healthz", "/readyz"):
        assert http.head(f"{server.base}{path}").status_code == http.get(f"{server.base}{path}").status_code == 200
    assert "-secret" not in server.said


@pytest.mark.parametrize("host", ["x/healthz?", "localhost/readyz#", "/healthz?"])
def test_no_host_opens_a_path_to_strangers(server: Server, host: str) -> None:
    for path in ("/workflows", "/events", "/openapi.json"):
        problem(http.get(f"{server.base}{path}", headers={"Host": host}), 401, "unauthorised")
    answer = http.post(f"{server.base}/workflows/place-order", json=order("n-h"), headers={"Host": host})
    problem(answer, 401, "unauthorised")
    problem(ask(server, "olga", "POST", "/sandbox/payments/charge", {}, Host=host), 403, "forbidden")


NEVER = "Content-Length: 500000\r\nContent-Type: application/json\r\n"
CHUNKS = "Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n"
EXPECTS = NEVER + "Expect: 100-continue\r\n"


def head(who: str, path: str, more: str, host: str = "x") -> bytes:
    bearer = f"Authorization: Bearer {who[0]}-secret\r\n" if who else ""
    return f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{bearer}{more}\r\n".encode()


def answers(server: Server, sent: bytes) -> tuple[int, str]:
    """What is answered to this, and nothing after it, until the server closes: a status, and its problem."""
    with socket.create_connection(("127.0.0.1", server.port), 30) as talking:
        talking.sendall(sent)
        answered = b"".join(iter(partial(talking.recv, 65_536), b""))
    status, _, said = answered.partition(b"\r\n\r\n")
    assert b"connection: close" in status
    return int(status.split()[1]), json.loads(said)["type"].rpartition(":")[2]


@pytest.mark.parametrize("body", [NEVER, NEVER + "\r\n{", CHUNKS, CHUNKS + "\r\n1\r\n{", EXPECTS])
@pytest.mark.parametrize(
    ("who", "path", "told"),
    [
        ("", "/workflows/place-order", (401, "unauthorised")),
        ("", "/nowhere", (401, "unauthorised")),
        ("x", "/events", (401, "unauthorised")),
        ("vera", "/workflows/place-order", (403, "forbidden")),
        ("vera", "/accounts", (403, "forbidden")),
        ("vera", "/streams/account-a%2Fb/undo", (403, "forbidden")),
        ("stan", "/streams/account-a/undo", (403, "forbidden")),
        ("stan", "/workflows/bulk/cancel", (403, "forbidden")),
        ("stan", "/projections/order_board/rebuild", (403, "forbidden")),
        ("olga", "/sandbox/payments/charge", (403, "forbidden")),
    ],
)
def test_a_body_is_not_asked_for_that_its_sender_may_not_send(
    server: Server, who: str, path: str, body: str, told: tuple[int, str]
) -> None:
    """It never comes: whoever waited for it would say 408 in the end. With Expect, 100 would come first."""
    assert answers(server, head(who, path, body)) == told


def test_a_body_that_is_sent_whatever_is_said_does_not_hide_the_answer(server: Server) -> None:
    for who, status in (("xavier", 401), ("vera", 403)):
        for size in (10, 200_000, 5_000_000):
            answer = ask(server, who, "POST", "/workflows/place-order", {"order_id": "x" * size})
            assert answer.status_code == status
            assert answer.headers["connection"] == "close"


def test_who_may_send_a_body_is_asked_for_it(server: Server) -> None:
    body = json.dumps(order("n-100")).encode()
    more = EXPECTS.replace("500000", str(len(body))) + "Connection: close\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 30) as talking:
        talking.sendall(head("stan", "/workflows/place-order", more))
        assert talking.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        talking.sendall(body)
        assert talking.recv(65_536).startswith(b"HTTP/1.1 202 ")


@pytest.mark.parametrize("path", ["/workflows", "/events", "/events/live", "/views/order_board", "/metrics", "/docs"])
def test_head_is_answered_where_get_is(server: Server, path: str) -> None:
    answer = ask(server, "vera", "HEAD", path)
    assert answer.status_code == 200
    assert answer.content == b""
    assert answer.headers["content-type"]
    problem(ask(server, "vera", "GET", "/workflows/nobody"), 404, "not-found")
    assert ask(server, "vera", "HEAD", "/workflows/nobody").status_code == 404


def test_there_is_a_bound_to_followers(postgres_18: EmbeddedPostgres) -> None:
    with Server(fresh_database(postgres_18), followers=2) as server:
        server.start()
        with http.stream("GET", f"{server.base}/events/live"), http.stream("GET", f"{server.base}/events/live"):
            wait_for(lambda: "amends_followers 2.0" in http.get(f"{server.base}/metrics").text, "two follow")
            answer = http.get(f"{server.base}/events/live")
            problem(answer, 503, "too-many-followers")
            assert answer.headers["retry-after"]
        wait_for(lambda: "amends_followers 0.0" in http.get(f"{server.base}/metrics").text, "both are gone")
