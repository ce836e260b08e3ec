"""Outages of providers, as executors report them: one line each, however many sagas wait for a provider."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.statements.committer import Committer
from app.amends.postgres.statements.reader import Reader
from domain.amends.errors import Contended, Unavailable
from workflows.amends.providers import Providers
from workflows.amends.values.codec import json_text

log = logging.getLogger("amends.store")

SQL = load_statements(Path(__file__).with_name("outages.sql"))
REPORT_SECONDS = 1.0
PATIENCE = 5.0


async def report_outages(committer: Committer, executor: Callable[[], str], providers: Providers) -> None:
    """Report the outages that this process sees, whenever they change; runs until it is cancelled.

    A report counts as long as its executor lives: the next executor of this process reports again.
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
            parameters = {"executor": me, "providers": down, "known": changed, "outages": json_text(seen)}
            await committer.run(SQL["report"], parameters, PATIENCE)
        except (Unavailable, Contended) as away:
            log.debug("Outages are not reported: %s", away)
            continue
        except Exception as error:
            log.warning("Outages cannot be reported, which is tried again: %s", error)
            continue
        known = seen


async def provider_outages(reader: Reader) -> list[dict[str, Any]]:
    """The providers that are down: since when, how many sagas wait for each, and its last error."""
    return await reader.rows(SQL["outages"], ())


async def waiting_sagas(reader: Reader) -> list[dict[str, Any]]:
    """The number of sagas that wait for each provider, and since when the first of them does."""
    return await reader.rows(SQL["awaiting"], ())
