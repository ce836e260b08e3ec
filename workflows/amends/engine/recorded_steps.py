"""How far earlier executions of a saga have come, by the numbers of its steps."""

from __future__ import annotations

import math

from workflows.amends.engine.history_writer import TURN_BACK
from workflows.amends.history.replay_state import ReplayState


def last_recorded_step(replay: ReplayState) -> int:
    """The last step of the way forward that is on record."""
    back = turned_back_at(replay)
    return max((step_id for step_id in recorded_steps(replay) if step_id < back), default=0)


def last_begun_step(replay: ReplayState) -> int:
    """The last step of the way forward of which anything was ever on record, whatever an operator has said of it."""
    back = turned_back_at(replay)
    return max(last_recorded_step(replay), max((step_id for step_id in replay.begun if step_id < back), default=0))


def turned_back_at(replay: ReplayState) -> float:
    """The number at which an earlier execution turned back; to steps before it without a record it did not come."""
    return next((step_id for step_id, known in replay.checkpoints.items() if known.name == TURN_BACK), math.inf)


def recorded_steps(replay: ReplayState) -> set[int]:
    """The steps of which something is on record."""
    step_ids = {*replay.checkpoints, *replay.failures, *replay.children, *replay.waits, *replay.provider_waits}
    return step_ids | {*replay.compensation.outcome_unknown} if replay.compensation else step_ids
