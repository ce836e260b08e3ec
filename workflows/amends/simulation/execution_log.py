"""The execution log of a simulated saga: a server's, with a lease that is never lost, in time that passes at once."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Final

from domain.amends.event import Cause
from workflows.amends.clocks import clock
from workflows.amends.executor.clock import DatabaseClock
from workflows.amends.executor.execution_log import LeasedExecutionLog, ProcessContext
from workflows.amends.executor.lease import Lease
from workflows.amends.history.replay_state import ReplayState
from workflows.amends.ports.execution_log import SagaIdentity
from workflows.amends.simulation.memory.sagas import MemorySagas

EXECUTOR: Final = "simulation"
"""Who runs the sagas."""


class MemoryExecutionLog(LeasedExecutionLog):
    """One execution of a saga that was claimed in memory.

    `tells` says whether it is told of a cancel while it runs, as by its own server; of another server's it learns when
    it reloads what is recorded.
    """

    def __init__(self, id: str, owner: str, sagas: MemorySagas, process: ProcessContext, tells: bool) -> None:
        self._sagas, self._tells = sagas, tells

        async def reload() -> ReplayState:
            return sagas.replay_state(id)

        identity = SagaIdentity(id, id, Cause(correlation_id=id, workflow_id=id), sagas.rows[id].parent)
        replay = replace(sagas.replay_state(id), started_at=sagas.rows[id].started_at)
        super().__init__(identity, replay, owner, _held_for_ever(sagas), process, reload, count(1).__next__)

    def cancel_reason(self) -> str | None:
        if self._tells and self._cancel is None:
            self._cancel = self._sagas.saga_history(self.identity.id).replay.cancel
        return self._cancel

    def now(self) -> datetime:
        return self._sagas.clock.now

    async def wait_until(self, until: datetime) -> None:
        self._sagas.clock.reach(until)


def _held_for_ever(sagas: MemorySagas) -> Lease:
    lease = Lease(EXECUTOR, math.inf, DatabaseClock(), clock)
    lease.note_granted(clock(), sagas.clock.now)
    return lease
