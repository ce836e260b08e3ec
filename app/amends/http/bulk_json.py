"""Acts on many sagas as JSON, for the API and the command line; payloads and results are not shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from app.amends.bulk.bulk_acts import BulkAct, BulkFailure
from app.amends.bulk.dry_run import BulkDryRun
from app.amends.http.serialisation import saga_row_json, sagas_with_reasons, timestamp
from app.amends.redaction.redactor import Redactor
from app.amends.store.sagas.summaries import page_cursor
from workflows.amends.acts.dry_run import NextAction
from workflows.amends.values.codec import dump

NOTE = ("action", "actor", "reason", "at")


def bulk_row_json(found: BulkAct) -> dict[str, Any]:
    """A bulk act in a list."""
    return {
        "id": found.id,
        "act": found.act,
        "status": found.status,
        "filter": {name: value for name, value in found.filter.items() if value is not None},
        "reason": found.asked["reason"],
        "actor": found.actor,
        "signal": found.asked["signal"],
        "total": found.total,
        "done": found.done,
        "failed": found.failed,
        "moved_on": found.moved_on,
        "left": found.left,
        "started_at": timestamp(found.started_at),
        "finished_at": timestamp(found.finished_at),
    }


def bulk_json(found: BulkAct, failures: Sequence[BulkFailure]) -> dict[str, Any]:
    """A bulk act with what failed in it, and with who began and steered it."""
    return bulk_row_json(found) | {
        "causes": [asdict(each) for each in failures],
        "notes": [{name: each[name] for name in NOTE} for each in found.notes],
    }


def bulk_page_json(found: Sequence[BulkAct], limit: int) -> dict[str, Any]:
    """A page of them, of which one more than `limit` was read."""
    page = found[:limit]
    after = page_cursor(page[-1].started_at, page[-1].id) if len(found) > limit else None
    return {"bulk": [bulk_row_json(each) for each in page], "next": after}


async def bulk_dry_run_json(found: BulkDryRun, redactor: Redactor) -> dict[str, Any]:
    """What a bulk act would lead to."""
    rows = found.first
    first = await redactor.serialise_redacted(
        lambda: [saga_row_json(row, redactor) for row in rows], sagas=sagas_with_reasons(rows)
    )
    outcomes = [
        {
            "leads_to": each.leads_to,
            "problem": each.problem,
            "next": [dump(action, NextAction) for action in each.next],
            "count": each.count,
            "examples": each.examples,
        }
        for each in found.outcomes
    ]
    return {"count": found.count, "first": first, "tried": found.tried, "outcomes": outcomes}
