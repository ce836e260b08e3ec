"""Requests with an idempotency key act once: the same request is given the answer that it got before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from app.store.committer import Committer
from app.store.sql import statements
from domain.errors import Conflict
from workflows.codec import digest, text

SQL = statements("requests.sql")
PATIENCE = 10.0


class Requests:
    """Answers by idempotency key."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer

    async def once(self, key: str | None, asked: Any, act: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """Act, unless this was asked before under this key. Raises Conflict if something else was."""
        if key is None:
            return await act()
        fingerprint = digest(asked)
        if known := await self._committer.run(SQL["answer"], (key,), PATIENCE):
            return _same(key, fingerprint, *known[0])
        answer = await act()
        stored = await self._committer.run(SQL["remember"], (key, fingerprint, text(answer)), PATIENCE)
        return _same(key, fingerprint, *stored[0])


def _same(key: str, fingerprint: str, known: str, answer: dict[str, Any]) -> dict[str, Any]:
    if known != fingerprint:
        raise Conflict("idempotency", f"The idempotency key {key!r} was used for another request. Use a new one.")
    return answer
