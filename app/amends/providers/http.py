"""A provider that speaks HTTP: whether a call was sent is known from httpx's trace, not from the kind of its error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx

from workflows.amends.providers import NoAnswer, Provider
from workflows.amends.values.printable import error_message

NOBODY_IN: Final = (502, 503, 504)
"""Statuses of a front door with nobody behind it."""
LEAVES_NEXT: Final = ("send_request_headers.started", "send_request_body.started")
"""httpx's events right before a part of a request leaves. A provider acts on a whole request: who was paused between
the two and may call no more leaves it without its body."""
CONNECT_SECONDS: Final = 5.0
"""How long a connection may take: less than most steps have, so that a provider that is away is noticed."""


class HttpProvider:
    """One provider behind an httpx client; the client's own timeouts should be longer than those of the steps."""

    def __init__(self, provider: Provider, client: httpx.AsyncClient) -> None:
        self.provider, self._client = provider, client

    async def request(
        self, method: str, path: str, *, json: Any = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Make one call; returns its answer, whatever that says.

        Raises ProviderDown if no byte of it was sent, or while the provider is down, and NoAnswer if it was sent and
        not answered, or only by the provider's front door.
        """
        async with self.provider.call(tells=True) as sending:

            async def trace(event: str, info: Mapping[str, Any]) -> None:
                if event.endswith(LEAVES_NEXT) and info["request"].method != b"CONNECT":
                    await sending.starts()

            extensions = {"trace": trace}
            try:
                answer = await self._client.request(method, path, json=json, headers=headers, extensions=extensions)
            except httpx.TransportError as error:
                raise NoAnswer(error_message(error)) from error
            if answer.status_code in NOBODY_IN:
                raise NoAnswer(f"{answer.status_code} {answer.reason_phrase}")
            return answer
