"""Sagas in memory whose executor dies where a test wants it to, and to which something happens between two commits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from workflows.amends.ports.execution_log import Committed, StepCommit, StepTransaction, StreamMoved
from workflows.amends.simulation.memory.sagas import MemorySagas
from workflows.amends.simulation.memory.transaction import MemoryTransaction


class Crash(BaseException):
    """The executor dies here."""


@dataclass
class CrashingSagas(MemorySagas):
    """Counts commits. `after` says what happens just after the commit with a number, counted from 1."""

    commits: int = 0
    after: dict[int, Callable[[], None]] = field(default_factory=dict)
    is_dead: bool = False
    _crash: tuple[int, bool] | None = None

    def crash(self, at: int, landed: bool) -> None:
        """Die at the commit with this number, counted from now: before it, or, if `landed`, just after it."""
        self._crash = (self.commits + at, landed)

    @asynccontextmanager
    async def _transaction(self, id: str, owner: str) -> AsyncIterator[StepTransaction]:
        yield MemoryTransaction(self.events, partial(self._committed, id, owner))

    def _committed(self, id: str, owner: str, step_commit: StepCommit) -> Committed | StreamMoved:
        """The commit of a transaction: a moment passes with it, as it does in a database."""
        self.clock.now += timedelta(milliseconds=1)
        return self.write(id, owner, step_commit)

    def write(self, id: str, owner: str, step_commit: StepCommit) -> Committed | StreamMoved:
        if self.is_dead:
            raise Crash
        self.commits += 1
        at, landed = self._crash or (0, False)
        self.is_dead = self.commits == at
        if self.is_dead and not landed:
            raise Crash
        committed = super().write(id, owner, step_commit)
        if isinstance(committed, Committed) and (happens := self.after.pop(self.commits, None)):
            happens()
        if self.is_dead:
            raise Crash
        return committed
