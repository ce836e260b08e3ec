"""A proxy in the environment is for other machines: what is served on this one is called without."""

from __future__ import annotations

import pytest
from sqlalchemy import URL

from app.gateways.provider import provider_client
from tests.example.server import Server

DEAD = "http://127.0.0.1:9"
PROXY = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"), DEAD)


@pytest.mark.parametrize("proxy", [PROXY, {"ALL_PROXY": "socks5://127.0.0.1:9"}], ids=["http", "socks"])
def test_an_order_is_fulfilled_whatever_proxy_is_set(database_18: URL, proxy: dict[str, str]) -> None:
    with Server(database_18) as server:
        server.environment |= proxy
        server.start().place_order("proxied")
        assert server.saga("proxied")["status"] == "completed"


@pytest.mark.parametrize(
    ("provider", "asked"),
    [
        (None, False),
        ("http://127.0.0.1:8001/sandbox", False),
        ("http://[::1]:8001/sandbox", False),
        ("http://localhost:8001/sandbox", False),
        ("https://payments.example/v1", True),
    ],
)
def test_a_provider_elsewhere_alone_is_called_through_the_proxy(provider: str | None, asked: bool) -> None:
    client = provider_client(provider, "http://127.0.0.1:8000", "token")
    assert client.trust_env == asked
