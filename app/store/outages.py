"""Providers that are down, for everybody to see: one line each, however many sagas wait for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from app.store.committer import Committer, Unavailable
from app.store.reader import Reader
from app.store.sql import statements
from domain.errors import Contended
from workflows.codec import text

log = logging.getLogger("amends.store")

SQL = statements("outages.sql")
REPORT_SECONDS = 1.0
PATIENCE = 5.0


class Outage(Protocol):
    """A provider that is down, as one process sees it."""

    @property
    def provider(self) -> str: ...
    @property
    def since(self) -> datetime: ...
    @property
    def error(self) -> str: ...
    @property
    def waiting(self) -> int: ...


async def report(committer: Committer, executor: str, outages: Callable[[], Sequence[Outage]]) -> None:
    """Write down what this process sees, whenever that changes; runs until it is cancelled."""
    known: list[dict[str, Any]] = []
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        seen = [
            {"provider": each.provider, "down_since": each.since, "error": each.error, "waiting": each.waiting}
            for each in outages()
        ]
        if seen == known:
            continue
        providers = [each["provider"] for each in seen]
        try:
            parameters = {"executor": executor, "providers": providers, "outages": text(seen)}
            await committer.run(SQL["report"], parameters, PATIENCE)
        except (Unavailable, Contended) as away:
            log.debug("Outages are not reported: %s", away)
            continue
        known = seen


async def outages(reader: Reader) -> list[dict[str, Any]]:
    """Providers that are down: since when, how many sagas wait for each, and what it said last."""
    return await reader.rows(SQL["outages"], ())
