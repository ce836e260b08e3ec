"""Acts on many sagas, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from app.amends.output.dry_runs import next_action


def bulk_list_lines(acts: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line for each act, as it is answered."""
    for each in acts:
        yield f"{each['id']}  {each['started_at'][:19].replace('T', ' ')}  {_standing(each)}"


def bulk_act_lines(found: dict[str, Any]) -> Iterator[str]:
    """One act: how it stands, whom it concerns, what failed, and who steered it."""
    yield f"{found['id']}: {_standing(found)}"
    for each in found["causes"]:
        more = "" if each["count"] <= len(each["examples"]) else " …"
        yield f"  {each['count']:,} failed: {each['error']}"
        yield f"    such as {', '.join(each['examples'])}{more}"
    for note in found["notes"]:
        yield f"  {note['at'][:19].replace('T', ' ')}  {note['action']} by {note['actor']}: {note['reason']}"


def bulk_dry_run_lines(found: dict[str, Any]) -> Iterator[str]:
    """What an act would lead to: how many sagas it concerns, the first, and what comes next for how many."""
    count, tried = found["count"], found["tried"]
    yield f"{count:,} {'saga matches' if count == 1 else 'sagas match'}; nothing was done."
    if count:
        shown = [each["id"] for each in found["first"]]
        yield f"  first: {', '.join(shown)}{' …' if count > len(shown) else ''}"
    if tried < count:
        yield f"  Of these {tried:,} were tried out:"
    for each in found["outcomes"]:
        happens = "; ".join(next_action(action) for action in each["next"])
        yield f"  {each['count']:,} {_leads_to(each)}{': ' + happens if happens else ''}"


def _standing(each: dict[str, Any]) -> str:
    what = f"{each['act']} {each['signal']}" if each["signal"] else each["act"]
    which = ", ".join(f"{name}={value}" for name, value in each["filter"].items())
    done = f"{each['done']:,} of {each['total']:,} done"
    rest = [f"{each[name]:,} {words}" for name, words in (("failed", "failed"), ("moved_on", "moved on")) if each[name]]
    return f"{each['status']}, {what} of {which}: {', '.join([done, *rest])}"


def _leads_to(each: dict[str, Any]) -> str:
    if each["problem"]:
        return f"would be refused: {each['problem']}"
    return {
        "goes-on": "would go on",
        "compensated": "would be compensated",
        "completed": "would be completed",
        "waiting": "would wait",
        "stuck": "would be stuck",
        "stranded": "would be stranded",
        "hangs": "would hang",
        "no-code": "would wait for code",
        "stays": "would stay as they are",
    }.get(each["leads_to"], "are not known")
