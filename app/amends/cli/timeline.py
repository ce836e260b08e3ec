"""The history of a saga as a timeline: what happened when, and on which executor."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.amends.sensitive import MASK
from workflows.amends.values.said import escaped


@dataclass(frozen=True)
class Moment:
    """One line of a timeline; `seconds` counts from the first event."""

    seconds: float
    what: str
    detail: str
    executor: str


def timeline(events: Iterable[dict[str, Any]]) -> Iterator[Moment]:
    """The lines of a saga's events, oldest first, as the API shows them."""
    first: datetime | None = None
    for event in events:
        at, data = datetime.fromisoformat(event["recorded_at"]), event["data"]
        first = first or at
        executor = str(event["metadata"].get("executor", ""))
        yield Moment((at - first).total_seconds(), event["type"], _detail(event, data), executor)


def _detail(event: dict[str, Any], data: Any) -> str:  # noqa: C901 (one case for each event)
    if not isinstance(data, dict) or (data and all(value == MASK for value in data.values())):
        return "(unknown here)"
    error = (data.get("error") or {}).get("message", "")
    match event["type"]:
        case "saga-started":
            id = str(event["metadata"].get("workflow_id", ""))
            reference = f" for {data['reference']}" if data["reference"] not in ("", id) else ""
            return f"{data['name']} version {data['version']} {id}{reference}".strip()
        case "step-completed":
            again = f", at attempt {data['attempts']}" if data["attempts"] > 1 else ""
            return f"{data['step']}{again}"
        case "step-retrying" | "step-failed" | "step-refused":
            return f"{data['step']}, attempt {data['attempts']}: {error}"
        case "step-waiting" | "compensation-waiting":
            return f"{data.get('compensation') or data['step']} for {data['provider']}: {error}"
        case "step-compensated":
            by = "" if data["by"] == "compensation" else f" ({data['by']})"
            return f"{data['step']} by {data['compensation']}{by}"
        case "compensation-failed":
            return f"{data['compensation']}, attempt {data['attempts']}: {error}"
        case "event-loop-blocked":
            return f"{data['step'] or 'run'} for {data['seconds']:.1f} s"
        case "saga-waiting":
            until = f" until {data['until']}" if data["until"] else ""
            return f"for {data['signal'] or 'a while'}{until}"
        case "child-started":
            return f"{data['step']} as {data['child']}"
        case "child-recalled":
            return f"{data['child']}: {data['reason']}"
        case "signal-received" if str(data["signal"]).startswith(("child ", "undone ")):
            return f"{data['signal']}: {data['payload']['status']}"
        case "signal-received":
            return f"{data['signal']}: {json.dumps(data['payload'])}"
        case "wait-ended":
            return f"{data['signal'] or 'timer'}, by {data['by']}"
        case "operator-acted":
            return f"{data['act']}: {data['reason']}"
        case _:
            return str(data.get("reason") or "")


def lines(moments: Iterable[Moment]) -> Iterator[str]:
    """Moments as aligned text, a line each; an executor is named where it changes."""
    known = ""
    for moment in moments:
        where = f"   on {moment.executor}" if moment.executor and moment.executor != known else ""
        known = moment.executor or known
        yield escaped(f"{moment.seconds:8.3f} s  {moment.what:<20} {moment.detail}{where}")
