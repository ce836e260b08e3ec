"""Who is let in: neighbours by tokens and roles, web pages not at all, and bodies that are JSON, in time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter

from app.amends.http.api import build_api
from app.amends.http.requests import receiving
from app.amends.http.requests.guards import AccessPolicy, Guards
from app.amends.http.requests.roles import requires
from app.amends.security.loopback import base_url, is_loopback
from app.amends.security.tokens import OWN, Caller, Role, Token, parse_tokens
from app.amends.settings import Settings, read_settings
from domain.amends.errors import StartupError

TOKENS = parse_tokens("vera:v-1:viewer, stan:s-1:starter,olga:o-1:operator,otto:o-2")
Send = Mapping[str, str]


def api(door: AccessPolicy) -> Guards:
    async def fine() -> dict[str, str]:
        return {"fine": "yes"}

    async def boom() -> None:
        raise RuntimeError("boom")

    router, open_router = APIRouter(), APIRouter(prefix="/kiosk", dependencies=[requires(Role.viewer)])
    router.add_api_route("/things", fine, methods=["GET"])
    router.add_api_route("/things", fine, methods=["POST"])
    router.add_api_route("/decided", fine, methods=["POST"], dependencies=[requires(Role.operator)])
    router.add_api_route("/read", fine, methods=["GET"], dependencies=[requires(Role.operator)])
    router.add_api_route("/healthz", fine, methods=["GET"])
    router.add_api_route("/metrics", fine, methods=["GET"])
    router.add_api_route("/sandbox/charge", fine, methods=["POST"])
    open_router.add_api_route("/asked", fine, methods=["POST"])
    return Guards(build_api([router, open_router]), door)


def client(door: AccessPolicy | None = None, host: str = "127.0.0.1:8000") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(api(door or AccessPolicy())), base_url=f"http://{host}")


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("type", "").rpartition(":")[2]


@pytest.mark.parametrize(
    ("method", "path", "least"),
    [
        ("GET", "/things", "vera"), ("HEAD", "/things", "vera"), ("GET", "/openapi.json", "vera"),
        ("POST", "/kiosk/asked", "vera"), ("POST", "/things", "stan"), ("POST", "/decided", "olga"),
        ("GET", "/read", "olga"),
    ],
)  # fmt: skip
async def test_each_role_may_do_what_those_before_it_may(method: str, path: str, least: str) -> None:
    names = ["vera", "stan", "olga", "otto"]
    async with client(AccessPolicy(TOKENS), "amends.example") as http:
        assert told(await http.request("GET", path))[1] == "unauthorised"
        for name in names:
            headers = {"Authorization": f"Bearer {TOKENS[name].secret}"}
            answer = await http.request(method, path, headers=headers)
            if names.index(name) >= names.index(least):
                assert answer.status_code == 200
            else:
                assert answer.status_code == 403
                assert method == "HEAD" or answer.json()["type"] == "urn:amends:problem:forbidden"


async def test_what_machines_ask_is_open_and_metrics_are_not_unless_somebody_says_so() -> None:
    async with client(AccessPolicy(TOKENS)) as http:
        assert told(await http.get("/healthz")) == (200, "")
        assert told(await http.get("/metrics")) == (401, "unauthorised")
    async with client(AccessPolicy(TOKENS, open_to_all=("/healthz", "/metrics"))) as http:
        assert told(await http.get("/metrics")) == (200, "")


FALSE_HOSTS = [f"{host}{path}{end}" for host in ("x", "localhost:80", "")
               for path in ("/healthz", "/metrics", "/things/..") for end in ("?", "#", "?x=", "/?")]  # fmt: skip


@pytest.mark.parametrize("host", FALSE_HOSTS)
async def test_a_path_is_not_read_out_of_the_host(host: str) -> None:
    tokens = {**TOKENS, OWN: Token(Caller(OWN, Role.operator), "its-own")}
    async with client(AccessPolicy(tokens, open_to_all=("/healthz", "/metrics"), private=("/sandbox",))) as http:
        for method, path in (
            ("GET", "/things"),
            ("POST", "/things"),
            ("POST", "/decided"),
            ("POST", "/sandbox/charge"),
        ):
            assert told(await http.request(method, path, headers={"Host": host})) == (401, "unauthorised")
            headers = {"Host": host, "Authorization": "Bearer v-1"}
            status = 200 if method == "GET" else 403
            assert (await http.request(method, path, headers=headers)).status_code == status
        sandbox = await http.post("/sandbox/charge", headers={"Host": host, "Authorization": "Bearer o-1"})
        assert told(sandbox) == (403, "forbidden")
        headers = {"Host": host, "Authorization": "Bearer o-1", "Content-Type": "text/plain"}
        assert told(await http.post("/things", content=b"{}", headers=headers)) == (415, "not-json")
        missing = await http.get("/nowhere", headers=headers)
        assert missing.json()["detail"] == "GET /nowhere: Not Found"
    async with client(AccessPolicy()) as http:
        assert told(await http.get("/things", headers={"Host": host})) == (421, "wrong-host")


async def test_what_is_private_is_called_by_the_service_alone_where_there_are_tokens() -> None:
    tokens = {**TOKENS, OWN: Token(Caller(OWN, Role.operator), "its-own")}
    for door, expected in ((AccessPolicy(tokens, private=("/sandbox",)), 403), (AccessPolicy(tokens), 200)):
        async with client(door) as http:
            for secret, status in (("o-1", expected), ("its-own", 200)):
                headers = {"Authorization": f"Bearer {secret}"}
                assert (await http.post("/sandbox/charge", headers=headers)).status_code == status
    async with client() as http:
        assert (await http.post("/sandbox/charge")).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost", "LOCALHOST:1", "127.3.2.1", "[::1]:80",
                                  "amends.localhost", "here.example:8000"])  # fmt: skip
async def test_this_machine_is_called_by_its_names(host: str) -> None:
    async with client(AccessPolicy(hosts={"here.example"})) as http:
        assert told(await http.get("/things", headers={"Host": host})) == (200, "")


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil", "10.0.0.1", "[::", "", "x y",
     "localhost/healthz?", "localhost/healthz#", "127.0.0.1:1/../metrics?", "evil@localhost",
     "localhost\\healthz", "[::1]x"],
)  # fmt: skip
async def test_a_name_that_somebody_else_gave_to_this_machine_is_not_heard(host: str) -> None:
    async with client() as http:
        assert told(await http.get("/things", headers={"Host": host})) == (421, "wrong-host")
        assert told(await http.post("/things", headers={"Host": host, "Origin": f"http://{host}"}))[0] in (403, 421)
        assert told(await http.get("/healthz", headers={"Host": host})) == (200, "")
    async with client(AccessPolicy(TOKENS)) as http:
        headers = {"Host": host, "Authorization": "Bearer v-1"}
        assert told(await http.get("/things", headers=headers)) == (200, "")


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "application/jsonx"],
)
@pytest.mark.parametrize("body", [b"{}", b""])
async def test_a_body_is_json_and_says_so(kind: str, body: bytes) -> None:
    async with client() as http:
        for path in ("/things", "/decided", "/nowhere"):
            answer = await http.post(path, content=body, headers={"Content-Type": kind})
            assert told(answer) == (415, "not-json")
        assert told(await http.post("/things", content=b"{}")) == (415, "not-json"), "nothing was said"
        assert told(await http.post("/things")) == (200, ""), "there is none"
        for fine in ("application/json", "Application/JSON ; charset=utf-8"):
            assert told(await http.post("/things", content=b"{}", headers={"Content-Type": fine})) == (200, "")


async def drip(parts: int, wait: float) -> AsyncIterator[dict[str, Any]]:
    for _ in range(parts):
        await asyncio.sleep(wait)
        yield {"type": "http.request", "body": b"1", "more_body": True}
    await asyncio.Event().wait()


async def post(
    guards: Guards, parts: AsyncIterator[dict[str, Any]], client: str = "a", token: str = ""
) -> tuple[int, dict[str, Any]]:
    answered: list[Any] = []

    async def receive() -> Any:
        return await anext(parts)

    async def send(message: Any) -> None:
        answered.append(message)

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    headers += [(b"authorization", b"Bearer " + token.encode())] if token else []
    scope = {"type": "http", "method": "POST", "path": "/things", "raw_path": b"/things", "headers": headers,
             "query_string": b"", "http_version": "1.1", "scheme": "http", "root_path": "",
             "client": (client, 1)}  # fmt: skip
    await guards(scope, receive, send)
    assert (b"connection", b"close") in answered[0]["headers"]
    return answered[0]["status"], json.loads(answered[1]["body"])


@pytest.mark.parametrize("wait", [0.0, 0.01])
@pytest.mark.parametrize(
    "limits",
    [
        {"GRACE_SECONDS": 0.2, "BYTES_A_SECOND": 10**6},
        {"GRACE_SECONDS": 0.1, "LONGEST_SECONDS": 0.2},
        {"IDLE_SECONDS": 0.2, "LONGEST_SECONDS": 0.4, "BYTES_A_SECOND": 1},
    ],
)
async def test_a_body_that_does_not_come_is_not_waited_for(
    wait: float, limits: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in limits.items():
        monkeypatch.setattr(receiving, name, value)
    guards = api(AccessPolicy())
    status, said = await post(guards, drip(10 if wait == 0 else 10**9, wait))
    assert (status, said["type"]) == (408, "urn:amends:problem:too-slow")
    assert not guards._bodies.held


async def test_bodies_have_a_bound_each_and_all_together(monkeypatch: pytest.MonkeyPatch) -> None:
    guards = api(AccessPolicy(largest=10))
    status, said = await post(guards, drip(11, 0))
    assert (status, said["type"]) == (413, "urn:amends:problem:too-large")
    monkeypatch.setattr(receiving, "AT_ONCE", 2)
    monkeypatch.setattr(receiving, "SMALL", 4)
    held = [asyncio.create_task(post(guards, drip(8, 0), each)) for each in "ab"]
    more = asyncio.create_task(post(guards, drip(8, 0), "a"))
    while guards._bodies.held.total() < 12:
        await asyncio.sleep(0)
    held += [asyncio.create_task(post(guards, drip(8, 0), each)) for each in "bc"]
    while guards._bodies.held.total() < 20:
        await asyncio.sleep(0)
    status, said = await post(guards, drip(8, 0), "d")
    assert (status, said["type"]) == (503, "urn:amends:problem:unavailable")
    assert not more.done(), "the first ones are still waited for"
    small = asyncio.create_task(post(guards, drip(4, 0)))
    await asyncio.sleep(0.1)
    assert not small.done(), "and small ones are taken in"
    held += [more, small]
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    assert not guards._bodies.held


@pytest.mark.parametrize("tokens", [True, False], ids=["by token", "by address"])
async def test_one_caller_cannot_take_the_room_for_all_bodies(tokens: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "AT_ONCE", 4)
    monkeypatch.setattr(receiving, "SMALL", 0)
    guards = api(AccessPolicy(TOKENS if tokens else {}, largest=8))
    one, other = ("s-1", "o-1") if tokens else ("a", "b")

    def send(who: str, parts: int = 8) -> asyncio.Task[tuple[int, dict[str, Any]]]:
        sent = post(guards, drip(parts, 0), token=who) if tokens else post(guards, drip(parts, 0), who)
        return asyncio.create_task(sent)

    held = [send(one), send(one)]
    while guards._bodies.held.total() < 16:
        await asyncio.sleep(0)
    for _ in range(3):
        status, said = await send(one)
        assert (status, said["detail"][:11]) == (503, "Your bodies")
    held += [send(other), send(other)]
    while guards._bodies.held.total() < 32:
        await asyncio.sleep(0)
    assert not any(task.done() for task in held), "others have their share"
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    assert not guards._bodies.held


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("ann", "entry 1"), ("ann:", "entry 1"), (":x", "entry 1"), ("ann:x,bob", "entry 2"),
        ("ann:x:king", "no role"), ("ann:x:viewer:y", "no role"), ("ann:x:", "no role"), ("amends:x", "Amends' own"),
        ("Anonymous:x", "Amends' own"), ("ann:x,ann:y", "twice"), ("ann:x,ANN:y", "twice"), ("ann:x,bob:x", "same"),
        ("ann:ä", "header"), ("ann:a b", "header"), ("ann:\x7f", "header"), ("änn:x", "printable ASCII"),
        ("a" * 101 + ":x", "printable ASCII"),
    ],
)  # fmt: skip
def test_tokens_that_could_be_misunderstood_are_refused_and_never_shown(given: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        parse_tokens(given)
    assert ":x" not in str(refused.value)


def test_who_a_token_names_is_said_and_the_token_is_not() -> None:
    assert [(each.caller.name, each.caller.role.name) for each in TOKENS.values()] == [
        ("vera", "viewer"), ("stan", "starter"), ("olga", "operator"), ("otto", "operator"),
    ]  # fmt: skip
    assert "s-1" not in repr(TOKENS)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"), ("::1", "http://[::1]:80"), ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://127.0.0.1:80"), ("localhost", "http://127.0.0.1:80"), ("fe80::1", "http://[fe80::1]:80"),
    ],
)  # fmt: skip
def test_a_server_calls_itself_where_it_listens(host: str, here: str) -> None:
    assert base_url(host, 80) == here
    assert is_loopback(httpx.URL(here).host) is (host != "fe80::1")


def test_tokens_that_name_nobody_are_no_open_door(monkeypatch: pytest.MonkeyPatch) -> None:
    for empty in ("", " , ,"):
        monkeypatch.setenv("AMENDS_API_TOKENS", empty)
        with pytest.raises(StartupError, match="names nobody"):
            read_settings(Settings, Path())
