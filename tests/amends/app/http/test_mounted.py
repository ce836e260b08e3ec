"""The API below a path of another application: what is allowed, found and named is the same as at the root."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from app.amends.http.api import build_api
from app.amends.http.requests.guards import AccessPolicy, Guards
from app.amends.http.requests.parameters import StreamName
from app.amends.mounting import RUNNING, MountedService
from app.amends.security.tokens import parse_tokens
from app.amends.service import Parts, Service
from app.amends.settings import Settings
from domain.amends.errors import StartupError

TOKENS = "ann:secret,eve:other:viewer"


def routes() -> APIRouter:
    """Some that stand for Amends' own."""
    router = APIRouter()

    @router.get("/healthz")
    async def health() -> str:
        return "well"

    @router.get("/streams/{stream}")
    async def stream(stream: StreamName) -> str:
        return str(stream)

    @router.post("/sandbox")
    async def sandbox() -> str:
        return "played"

    @router.post("/act")
    async def act() -> str:
        return "done"

    return router


def client(mounted: object, token: str | None = None) -> httpx.AsyncClient:
    """A client of an application that has something mounted at /team/amends."""
    app = FastAPI()
    app.mount("/team/amends", mounted)  # type: ignore[arg-type]
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost", headers=headers)


def guarded(token: str | None) -> httpx.AsyncClient:
    policy = AccessPolicy(tokens=parse_tokens(TOKENS), private=("/sandbox",))
    return client(Guards(build_api([routes()], guarded=True), policy), token)


@pytest.mark.parametrize(
    ("token", "method", "path", "status"),
    [
        (None, "GET", "healthz", 200),
        (None, "GET", "streams/order-1", 401),
        ("other", "POST", "act", 403),
        ("secret", "POST", "act", 200),
        ("secret", "POST", "sandbox", 403),
        ("secret", "POST", "healthz", 405),
        ("secret", "GET", "nothing", 404),
    ],
)
async def test_who_may_do_what_is_decided_below_the_mount(
    token: str | None, method: str, path: str, status: int
) -> None:
    async with guarded(token) as http:
        assert (await http.request(method, f"/team/amends/{path}")).status_code == status


async def test_names_with_an_encoded_slash_and_other_pages_are_found() -> None:
    async with guarded("secret") as http:
        assert (await http.get("/team/amends/streams/order-a%2Fb")).json() == "order-a/b"
        assert (await http.get("/team/amends/")).headers["Location"] == "/team/amends/docs"
        assert (await http.get("/team/amends/openapi.json")).json()["servers"] == [{"url": "/team/amends"}]
        assert (await http.post("/team/amends/healthz")).headers["Allow"] == "GET, HEAD"


async def test_a_service_whose_lifespan_was_forgotten_says_so() -> None:
    service = Service(root=Path(), build=lambda _: Parts(sagas=[]), settings=Settings)
    async with client(MountedService(service, here="http://localhost/team/amends")) as http:
        answer = await http.get("/team/amends/workflows")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:amends:problem:not-ready")
    assert "give its lifespan to the application" in answer.json()["detail"]


async def test_a_service_that_others_reach_needs_tokens() -> None:
    service = Service(root=Path(), build=lambda _: Parts(sagas=[]), settings=Settings)
    with pytest.raises(StartupError, match="AMENDS_API_TOKENS"):
        async with MountedService(service, here="https://shop.example/amends").lifespan():
            """Not reached."""


async def test_one_service_runs_in_a_process_at_a_time() -> None:
    service = Service(root=Path(), build=lambda _: Parts(sagas=[]), settings=Settings)
    with RUNNING, pytest.raises(StartupError, match="runs in this process already"):
        async with MountedService(service, here="http://localhost/team/amends").lifespan():
            """Not reached."""


async def test_a_base_url_that_is_none_is_said() -> None:
    service = Service(root=Path(), build=lambda _: Parts(sagas=[]), settings=Settings)
    with pytest.raises(StartupError, match="here='/amends' is no URL"):
        async with MountedService(service, here="/amends/").lifespan():
            """Not reached."""
