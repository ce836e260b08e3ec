"""Dry runs of acts on sagas: each is refused as the act itself would be, and has no effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, Protocol

from domain.amends.errors import NotFound
from domain.amends.event import Cause
from workflows.amends.acts.dry_run import DryRun, LeadsTo, dry_run_of
from workflows.amends.acts.dry_run_log import CodeNotRun, DryRunLog, with_events
from workflows.amends.acts.saga_act import SagaAct
from workflows.amends.client import SagaClient, going_status
from workflows.amends.compatibility.replay_log import CodeAtHand
from workflows.amends.compatibility.replaying import replay_on
from workflows.amends.engine.execution import Execution
from workflows.amends.engine.outcomes import SKIPPED
from workflows.amends.history import FINISHED, CancelRequested, OperatorResumed, SignalReceived, Status, saga_histories
from workflows.amends.history.problem import stored_problem
from workflows.amends.history.replay_state import BLOCKS, Checkpoint, ReplayState
from workflows.amends.ports.conflicts import nobody_waits, not_terminated, nothing_to_cancel, past_pivot
from workflows.amends.ports.event_store import NewEvent, new_amends_event
from workflows.amends.ports.recordings import Recording
from workflows.amends.ports.saga_store import StatusDetails
from workflows.amends.saga import Saga

NOBODY: Final = Cause()
STAYS: Final[Mapping[str, str]] = {
    "stuck": "It stays stuck: {kept}, and an operator has to decide about its compensation.",
    "stranded": "It stays stranded: {kept} until there is code that fits its recording.",
    "abandoned": "It stays abandoned: {kept} until an operator has it resumed or compensated.",
}


class RecordingsOfAnyStatus(Protocol):
    """Where the recordings of single sagas are read from."""

    async def of_any_status(self, ids: Sequence[str]) -> Sequence[Recording]:
        """The recordings of these sagas, in the order of their ids."""
        ...


class DryRuns:
    """Tries acts out on what is recorded of sagas, with the code of this process; nothing is done, nothing written."""

    def __init__(self, client: SagaClient, recordings: RecordingsOfAnyStatus, code: CodeAtHand) -> None:
        self._client, self._recordings, self._code = client, recordings, code

    async def of(self, id: str, act: SagaAct) -> DryRun:
        """What an act would lead to. Raises NotFound, Conflict and the like as the act itself would."""
        standing, event = await self._permitted(id, act)
        found = await self._recordings.of_any_status([id])
        if not found:
            raise NotFound("workflow", id)
        return await self._tried(found[0], act, standing, event)

    async def _permitted(self, id: str, act: SagaAct) -> tuple[StatusDetails, NewEvent]:
        """How a saga stands, and the event of an act that its status allows."""
        match act.name:
            case "retry" | "skip" | "resolve":
                return await self._client.operator_event(id, act.name, act.reason, NOBODY, act.result)
            case "signal":
                told: object = SignalReceived(act.signal or "", act.payload)
            case "resume":
                told = OperatorResumed(act.reason)
            case "cancel" | "compensate":
                told = CancelRequested(act.reason)
        standing = await self._client.standing(id)
        if act.name in ("compensate", "resume"):
            if standing.status != "abandoned":
                raise not_terminated(id, standing.status, "resume" if act.name == "resume" else "compensate")
        elif standing.status in FINISHED:
            refusal = nothing_to_cancel if act.name == "cancel" else nobody_waits
            raise refusal(id, standing.status)
        return standing, new_amends_event(saga_histories.stream(id), told, NOBODY)

    async def _tried(self, recording: Recording, act: SagaAct, standing: StatusDetails, event: NewEvent) -> DryRun:
        if act.name == "cancel":
            self._require_not_past_pivot(recording)
        if stays := _stays(act, standing):
            return _known(recording, act, "stays", stays)
        saga = self._client.sagas.get((recording.name, recording.version))
        if recording.unreadable is not None:
            return _known(recording, act, "stranded", f"It is stranded then: {recording.unreadable}")
        if saga is None:
            here = f"{recording.name}:{recording.version}"
            return _known(recording, act, "no-code", f"It goes on where there is code for {here}: there is none here.")
        if recording.replay.blocks >= BLOCKS:
            return _known(recording, act, "unknown", "Its code blocked an event loop, and is not tried out.")
        is_run = recording.status in ("queued", "running", "compensating") and not recording.replay.is_held
        return await self._replayed(_after(recording, act, standing, event), saga, act, is_run)

    async def _replayed(self, recording: Recording, saga: Saga[Any, Any], act: SagaAct, is_run: bool) -> DryRun:
        log = DryRunLog(recording, self._code)
        execution = Execution(saga, log, partial(CodeNotRun, log))
        return dry_run_of(act.name, log, await replay_on(log, execution, recording), saga, is_run)

    def _require_not_past_pivot(self, recording: Recording) -> None:
        """Raise Conflict where a pivot is told of in the saga's own history as completed or skipped."""
        pivots, own = self._client.pivots(recording.name, recording.version), recording.replay.arguments
        known = recording.replay.checkpoints.values()
        if any(each.name in pivots and each.step_id in own and _is_past(each) for each in known):
            raise past_pivot(recording.id, pivots)


def _is_past(checkpoint: Checkpoint) -> bool:
    return checkpoint.error is None or stored_problem(checkpoint.error).name == SKIPPED


def _known(recording: Recording, act: SagaAct, leads_to: LeadsTo, until: str) -> DryRun:
    return DryRun(recording.id, act.name, leads_to, (), until)


def _stays(act: SagaAct, standing: StatusDetails) -> str | None:
    """What becomes of a saga that does not go on by an act; None for one that does."""
    if act.name not in ("cancel", "signal") or standing.status not in STAYS:
        return None
    if standing.status == "stuck" and act.name == "cancel" and not standing.is_compensating:
        return None
    kept = "the cancel is on record" if act.name == "cancel" else "the signal is kept"
    if act.name == "signal" and standing.status == "stuck":
        return f"It stays stuck: {kept}, and an operator has to decide."
    return STAYS[standing.status].format(kept=kept)


def _after(recording: Recording, act: SagaAct, standing: StatusDetails, event: NewEvent) -> Recording:
    """What would be recorded of a saga after an act."""
    replay, status = with_events(recording.replay, [event]), recording.status
    if act.name not in ("cancel", "signal"):
        replay, status = _going(replay, going_status(standing))
    elif act.name == "cancel" and not standing.is_compensating and (status in ("waiting", "stuck") or replay.is_held):
        replay, status = _going(replay, "running")
    return replace(recording, replay=replay, status=status)


def _going(replay: ReplayState, status: Status) -> tuple[ReplayState, Status]:
    """The state of a saga that is queued anew: what kept it from being tried counts no more."""
    return replace(replay, status=status, exhausted=None), status
