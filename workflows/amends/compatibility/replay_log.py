"""The execution log of a replay: it answers commits and writes none, and code with effects is never reached."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Literal, NoReturn, TypeAlias

from pydantic import JsonValue

from domain.amends.event import Cause, event_type
from workflows.amends.brakes.brake import BrakePoint
from workflows.amends.client import SagaClient
from workflows.amends.compatibility.interrupting import BUSY_SECONDS
from workflows.amends.engine import run_driver
from workflows.amends.engine.steps.argument_shapes import ArgumentShapes, no_shapes
from workflows.amends.engine.suspension import SuspendRequest
from workflows.amends.history import SagaStuck
from workflows.amends.history.replay_state import ReplayState
from workflows.amends.ports.execution_log import (
    Committed,
    StartRequest,
    StatusChange,
    StepCommit,
    StepTransaction,
    StreamMoved,
    Suspended,
)
from workflows.amends.ports.recordings import Recording
from workflows.amends.redaction.shapes import Shape
from workflows.amends.values.limits import Limits
from workflows.amends.waker import Waker

STUCK = event_type(SagaStuck).name
HANGING = run_driver.Hanging.__name__

REPLAY_SECONDS: Final = 1.0
"""How long `run` may take in a replay from one of its words to the next: nothing that it waits for is waited for."""

Outcome: TypeAlias = Literal["fits", "stranded", "stuck", "hangs", "no-code"]
"""What becomes of an instance under the code at hand: it goes on, it is suspended as incompatible, the code between its
steps fails or does not come to the next one, or there is no code for its type and version."""

Hanging: TypeAlias = Literal["waits", "computes"]
"""How code does not return: it waits for something that nobody tells it, or it computes or blocks."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of an instance, and why, unless it goes on."""

    outcome: Outcome
    reason: str = ""
    hung: Hanging | None = field(default=None, compare=False)
    """In which way the code does not return, also of a saga that was stuck before, and stays so."""


FITS = Verdict("fits")


@dataclass(frozen=True)
class CodeAtHand:
    """What a replay asks of its surroundings: start requests of children, the limits of values, and the time."""

    child: Callable[[str, JsonValue, str, Cause], StartRequest]
    now: Callable[[], datetime]
    limits: Limits = field(default_factory=lambda: Limits(between=REPLAY_SECONDS))
    busy_seconds: float = BUSY_SECONDS
    """How long code of a saga may compute without an await."""
    argument_shapes: ArgumentShapes = no_shapes

    @classmethod
    def of(cls, client: SagaClient, limits: Limits, argument_shapes: ArgumentShapes) -> CodeAtHand:
        """That of a process with the sagas of a client; `run` has less time than it has when it really runs."""
        limits = replace(limits, between=min(limits.between, REPLAY_SECONDS))
        return cls(client.child_start_request, lambda: datetime.now(UTC), limits, argument_shapes=argument_shapes)


class ReplayEnded(SuspendRequest):
    """Code of a step, a transaction or a compensation would be run now: all that is recorded fits.

    Of several branches it counts least, as one that waits for a provider does: another one may not fit.
    """

    def __init__(self) -> None:
        super().__init__((), StatusChange("running", provider="replay"), lambda: None, settled=True)


class ReplayLog:
    """The execution log of one replay; `verdict` is what the engine made of the recording."""

    def __init__(self, recording: Recording, code: CodeAtHand) -> None:
        self.identity, self._status, self._code = recording.identity, recording.status, code
        self.replay = replace(recording.replay, started_at=recording.started_at)
        self.limits, self.waker, self.last_step_id = code.limits, Waker(), 0
        self.verdict = FITS

    def next_step_id(self) -> int:
        self.last_step_id += 1
        return self.last_step_id

    def now(self) -> datetime:
        """The time of the store, which a check need not know exactly."""
        return self._code.now()

    def monotonic_seconds(self) -> float:
        return time.monotonic()

    def child_start_request(self, saga_type: str, given: JsonValue, id: str, cause: Cause) -> StartRequest:
        return self._code.child(saga_type, given, id, cause)

    async def argument_shapes(self, saga_type: str, step: str) -> Sequence[Shape]:
        return await self._code.argument_shapes(saga_type, step)

    async def commit(self, step_commit: StepCommit) -> Committed | StreamMoved:
        """Answer as if it was written: what is compared after it is compared too. Raises Suspended for the last one."""
        if step_commit.suspend:
            self._note_suspended(step_commit)
            raise Suspended
        return Committed()

    def _note_suspended(self, step_commit: StepCommit) -> None:
        change = step_commit.change
        if change is None:
            return
        if change.status == "stranded":
            self.verdict = Verdict("stranded", change.reason or "")
        elif change.status == "stuck":
            self._note_stuck(step_commit, change.reason or "")

    def _note_stuck(self, step_commit: StepCommit, reason: str) -> None:
        """Note what the code between the steps has done wrong, unless the saga was stuck, or may not be run."""
        stuck = next((event.data for event in step_commit.events if event.type.name == STUCK), None)
        if stuck is None or self.replay.exhausted or stuck.get("step") is not None:
            return
        hung: Hanging | None = "waits" if (stuck.get("error") or {}).get("name") == HANGING else None
        if self._status == "stuck":
            self.verdict = Verdict("fits", hung=hung)
        else:
            self.verdict = Verdict("hangs" if hung else "stuck", reason, hung)

    def transaction(self) -> AbstractAsyncContextManager[StepTransaction]:
        raise ReplayEnded

    async def holding_brake(self, point: BrakePoint) -> None:
        """A brake changes nothing of what fits."""

    async def wait_for_lease(self) -> NoReturn:
        """Asked for before an outside call: the replay ends here."""
        raise ReplayEnded

    async def wait_until(self, until: datetime) -> NoReturn:
        """What would be waited for is not on record: the replay ends here."""
        raise ReplayEnded

    async def wait_for_wakeup(self, seconds: float) -> bool:
        return await self.waker.wait(max(seconds, 0))

    def cancel_reason(self) -> str | None:
        return self.replay.cancel

    async def reload_replay_state(self) -> ReplayState:
        """Nothing is added to a recording."""
        return self.replay
