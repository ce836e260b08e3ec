"""What a step and a compensation have in common when they wait for a provider that is down, or at a brake."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from workflows.amends.brakes.brake import BrakePoint
from workflows.amends.call import seconds
from workflows.amends.engine.steps.attempts import BlockedByBrake, BlockedByOutage
from workflows.amends.history.replay_state import ProviderWait
from workflows.amends.ids import name_and_version
from workflows.amends.ports.execution_log import ExecutionLog


def current_wait(
    down: BlockedByOutage, known: ProviderWait | None, execution_log: ExecutionLog, sent_before: bool = False
) -> tuple[ProviderWait, datetime]:
    """The wait that this is, which goes on whichever provider is down now, and when it lasts too long."""
    since = known.since if known and known.provider else execution_log.now()
    return ProviderWait(down.provider, since, down.sent or sent_before), since + seconds(execution_log.limits.provider)


def brake_wait(
    held: BlockedByBrake, known: ProviderWait | None, execution_log: ExecutionLog, sent_before: bool = False
) -> ProviderWait:
    """The wait at a brake that this is, which goes on if it is the same one."""
    since = known.since if known and known.brake == held.brake.id else execution_log.now()
    return ProviderWait("", since, held.sent or sent_before, held.brake.id)


def brake_point(saga_type: str, step: str, compensation: str | None = None) -> BrakePoint:
    """Where a brake may hold a step of a saga `name:version`, or a compensation of it."""
    return BrakePoint(*name_and_version(saga_type), step, compensation)


def wait_fields(down: BlockedByOutage, wait: ProviderWait, until: datetime) -> dict[str, Any]:
    """The fields of an event about a wait."""
    return {
        "attempts": down.attempts,
        "provider": wait.provider,
        "error": down.problem,
        "since": wait.since,
        "until": until,
    }


def wait_exhausted_reason(step: str, down: BlockedByOutage, wait: ProviderWait) -> str:
    """Why a saga is stuck whose provider does not come back."""
    since = wait.since.isoformat(timespec="seconds")
    return f"{step} waits for {wait.provider} since {since}, which is too long: {down.problem.message}"
