"""A server of the example, with its orders."""

from __future__ import annotations

from typing import Any

import httpx

from tests.amends import harness
from tests.amends.harness import server

ROOT, http, wait_for = harness.ROOT, server.http, server.wait_for


class Server(server.Server):
    """`./run up` of this checkout."""

    def place_order(self, id: str, **changes: Any) -> httpx.Response:
        return self.post("/workflows/place-order", order(id, **changes), Idempotency_Key=id)


def order(id: str, token: str = "tok_ok", sku: str = "apple", postcode: str = "12345", **more: Any) -> dict[str, Any]:
    """The input of place-order; the order's id is the saga's."""
    return {
        "order_id": id,
        "customer_id": "c-1",
        "currency": "EUR",
        "lines": [{"sku": sku, "quantity": 2, "unit_price": 350}],
        "payment_token": token,
        "postcode": postcode,
    } | more


def problem(answer: httpx.Response, status: int, kind: str) -> Any:
    """What a refused request is told, which must be this problem."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert said["type"] == f"urn:amends:problem:{kind}"
    assert said["status"] == status
    return said
