"""The execution log of a saga that this server runs: written under its lease, and refused if it is not the owner."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime

from pydantic import JsonValue

from domain.amends.errors import Unavailable
from domain.amends.event import Cause
from workflows.amends.brakes.brake import Brake, BrakePoint
from workflows.amends.brakes.in_force import BrakesInForce
from workflows.amends.engine.steps.argument_shapes import ArgumentShapes, no_shapes
from workflows.amends.executor.lease import Lease
from workflows.amends.history import FINISHED, EventLoopBlocked, saga_event
from workflows.amends.history.replay_state import BLOCKS, ReplayState
from workflows.amends.ports.execution_log import (
    Committed,
    SagaIdentity,
    StartRequest,
    StepCommit,
    StepTransaction,
    StreamMoved,
    Suspended,
)
from workflows.amends.ports.saga_store import SagaStore
from workflows.amends.providers import Providers
from workflows.amends.redaction.shapes import Shape
from workflows.amends.values.limits import Limits
from workflows.amends.waker import Waker

log = logging.getLogger("amends.saga")

AGAIN_SECONDS = 0.25
"""How long it is waited before the brakes are asked for again, while the database is away."""


def _nothing(_: str) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True)
class ProcessContext:
    """What all executions of a process share: `queued` is called when one has queued another saga."""

    store: SagaStore
    child: Callable[[str, JsonValue, str, Cause], StartRequest]
    draining: asyncio.Event
    queued: Callable[[], None]
    limits: Limits
    providers: Providers
    argument_shapes: ArgumentShapes = no_shapes
    brakes: BrakesInForce = field(default_factory=BrakesInForce)
    incompatible: Callable[[str], None] = _nothing
    """Called with the id of a saga whose record does not fit the code here."""


class LeasedExecutionLog:
    """The execution log of one saga in this process, written under a lease and an owner's token."""

    def __init__(
        self,
        identity: SagaIdentity,
        replay: ReplayState,
        owner: str,
        lease: Lease,
        surroundings: ProcessContext,
        reload: Callable[[], Awaitable[ReplayState]],
        draw_step_id: Callable[[], int],
    ) -> None:
        self.identity, self.replay, self._reload, self._draw_step_id = identity, replay, reload, draw_step_id
        self._owner, self._lease, self._around = owner, lease, surroundings
        self._cancel, self.waker = replay.cancel, Waker()
        self.limits, self.last_step_id = surroundings.limits, 0

    def next_step_id(self) -> int:
        self.last_step_id = self._draw_step_id()
        return self.last_step_id

    def now(self) -> datetime:
        """The database's time in whole milliseconds, as checkpoints keep it: a replay sees the same."""
        return self._lease.clock.now()

    def monotonic_seconds(self) -> float:
        return self._lease.now()

    def child_start_request(self, saga_type: str, given: JsonValue, id: str, cause: Cause) -> StartRequest:
        return self._around.child(saga_type, given, id, cause)

    async def commit(self, step_commit: StepCommit) -> Committed | StreamMoved:
        self._lease.require_not_lost()
        committed = await self._around.store.commit(self.identity.id, self._owner, step_commit)
        self._note(step_commit)
        if step_commit.change and step_commit.change.status == "stranded":
            self._around.incompatible(self.identity.id)
        told = self.identity.parent and step_commit.change and step_commit.change.status in FINISHED
        if step_commit.start or step_commit.recall or told:
            self._around.queued()  # a child was queued, or the parent that waits for this one
        return committed

    def _note(self, step_commit: StepCommit) -> None:
        """Let providers know of what their own gateways may not have told: who waits for one, and who was answered."""
        if step_commit.change and step_commit.change.provider:
            found = [event.data for event in step_commit.events if saga_event(event.type.name).found == "down"]
            down = {each["provider"]: str(each["error"]["facts"].get("problem", "")) for each in found}
            for name, error in ({step_commit.change.provider: "its gateway says so"} | down).items():
                self._around.providers.named(name).note_down(error)
        made = [event.data["slot"] for event in step_commit.events if saga_event(event.type.name).found == "answered"]
        for wait in (self.replay.provider_waits.get(step_id) for step_id in made):
            if wait and wait.provider:
                self._around.providers.named(wait.provider).note_up()

    async def argument_shapes(self, saga_type: str, step: str) -> Sequence[Shape]:
        return await self._around.argument_shapes(saga_type, step)

    def transaction(self) -> AbstractAsyncContextManager[StepTransaction]:
        self._go_on()
        return self._around.store.transaction(self.identity.id, self._owner)

    async def holding_brake(self, point: BrakePoint) -> Brake | None:
        brakes = self._around.brakes
        while not brakes.are_fresh:
            try:
                await brakes.refresh()
            except Unavailable as away:
                log.debug("%s waits to know the brakes: %s", self.identity.id, away)
                await self.wait_for_wakeup(AGAIN_SECONDS)
            self._go_on()
        return brakes.holding(point)

    async def wait_for_lease(self) -> None:
        await self._lease.wait_until_held()
        self._go_on()

    async def wait_until(self, until: datetime) -> None:
        await self.wait_for_wakeup((until - self.now()).total_seconds())

    async def wait_for_wakeup(self, seconds: float) -> bool:
        self._go_on()
        heard = await self.waker.wait(max(seconds, 0))
        self._go_on()
        return heard

    def cancel_reason(self) -> str | None:
        return self._cancel

    def note_cancel(self, reason: str) -> None:
        """Somebody wants the saga cancelled, who is not this execution of it."""
        if self._cancel is None:
            self._cancel = reason
            self.waker.wake()

    def note_blocked(self, event: EventLoopBlocked) -> None:
        """This life has blocked the event loop: after the second time an operator is asked before more is begun."""
        known, blocks = self.replay, self.replay.blocks + 1
        exhausted = event.stuck_reason() if blocks >= BLOCKS else known.exhausted
        self.replay = replace(known, blocks=blocks, exhausted=exhausted)

    async def reload_replay_state(self) -> ReplayState:
        self._go_on()
        again = await self._reload()
        self._cancel = self._cancel or again.cancel
        return again

    def _go_on(self) -> None:
        """Begin nothing new without the lease, and while this executor shuts down: another one goes on from here."""
        self._lease.require_not_lost()
        if self._around.draining.is_set():
            raise Suspended
