"""What an act would lead to, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def dry_run_lines(found: dict[str, Any]) -> Iterator[str]:
    """A dry run as it is answered: a line for each thing that would happen, and one for where knowing ends."""
    yield f"{found['id']}: {found['act']} would lead to this; nothing was done."
    for number, each in enumerate(found["next"], 1):
        yield f"  {number}. {next_action(each)}"
    yield f"  {found['until']}"


def next_action(each: dict[str, Any]) -> str:
    """One thing that would happen."""
    step = each["step"] if each["occurrence"] == 1 else f"{each['step']} ({each['occurrence']})"
    match each["kind"]:
        case "child":
            said = f"start {each['child']} for {step}"
        case "compensation" if each["child"]:
            said = f"compensate {step}: all of {each['child']} is compensated"
        case "compensation":
            said = f"{each['compensation']} compensates {step}"
        case kind:
            said = f"{kind} {step}"
    calls = ", ".join(_call(call) for call in each["calls"])
    return f"{said}, which calls {calls}" if calls else said


def _call(call: dict[str, Any]) -> str:
    here = f"{call['gateway']}.{call['operation']}"
    return here if call["provider"] in (None, call["gateway"]) else f"{here} (provider {call['provider']})"
