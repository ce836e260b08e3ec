"""Providers that are down, for everybody to see: one line each, however many sagas wait for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.amends.postgres.sql_files import statements
from app.amends.postgres.statements.committer import Committer
from app.amends.postgres.statements.reader import Reader
from domain.amends.errors import Contended, Unavailable
from workflows.amends.providers import Providers
from workflows.amends.values.codec import text

log = logging.getLogger("amends.store")

SQL = statements(Path(__file__).with_name("outages.sql"))
REPORT_SECONDS = 1.0
PATIENCE = 5.0


async def report_outages(committer: Committer, executor: Callable[[], str], providers: Providers) -> None:
    """Write down what this process sees, whenever that changes; runs until it is cancelled.

    What one executor has said counts for as long as it lives: another one says it again.
    """
    known, me = list[dict[str, Any]](), executor()
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        seen = [
            {"provider": each.provider, "down_since": each.since, "error": each.error} for each in providers.outages
        ]
        if executor() != me:
            known, me = [], executor()
        if seen == known:
            continue
        down = [each["provider"] for each in seen]
        changed = sorted({*down, *(each["provider"] for each in known)})
        try:
            parameters = {"executor": me, "providers": down, "known": changed, "outages": text(seen)}
            await committer.run(SQL["report"], parameters, PATIENCE)
        except (Unavailable, Contended) as away:
            log.debug("Outages are not reported: %s", away)
            continue
        except Exception as error:
            log.warning("Outages cannot be reported, which is tried again: %s", error)
            continue
        known = seen


async def outages(reader: Reader) -> list[dict[str, Any]]:
    """Providers that are down: since when, how many sagas wait for each, and what it said last."""
    return await reader.rows(SQL["outages"], ())


async def awaiting(reader: Reader) -> list[dict[str, Any]]:
    """How many sagas wait for which provider, and since when the first of them does."""
    return await reader.rows(SQL["awaiting"], ())
