"""Where a saga rests until a person acts, or until code is back that fits what is recorded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NoReturn

from workflows.amends.engine.history_writer import Chronicle
from workflows.amends.history import OperatorActed, SagaStranded, SagaStuck
from workflows.amends.ports.execution_log import Checkpoint, Parked, ProviderWait, StatusChange
from workflows.amends.values.said import one_line

log = logging.getLogger("amends.saga")


def _nothing() -> None:
    """Whoever rests here rests."""


class Resting(BaseException):
    """One of several branches wants the saga to rest; it does once the others have settled.

    `instead` raises TurnBack if the saga turns back rather than rest: somebody may have asked for that meanwhile.
    """

    def __init__(
        self, told: tuple[object, ...], change: StatusChange, instead: Callable[[], None], settled: bool = False
    ) -> None:
        self.told, self.change, self.instead, self.settled = told, change, instead, settled


class Attention:
    """What persons decided about one saga, and how it asks them."""

    def __init__(self, chronicle: Chronicle, kind: str) -> None:
        self._chronicle, self._kind = chronicle, kind
        self._recording = chronicle.journal.recording
        self._later = False

    @property
    def is_later(self) -> bool:
        """Whether whoever wants to rest has to wait for the other branches."""
        return self._later

    @contextmanager
    def later(self) -> Iterator[None]:
        """Meanwhile, whoever wants to rest raises Resting: a saga at rest has no owner, and its branches need one."""
        self._later = True
        try:
            yield
        finally:
            self._later = False

    def decided(self, slot: int, step: str | None) -> OperatorActed | None:
        """What a person decided last about this step, None if nothing; `step` is None for the code between steps."""
        act = self._recording.acts.get(slot)
        return act if act and act.step == step else None

    async def stuck(self, told: SagaStuck, instead: Callable[[], None] = _nothing, settled: bool = False) -> NoReturn:
        """Ask a person, unless `instead` turns the saga back; `settled` as for an Entry."""
        await self._rest(Resting((told,), StatusChange("stuck", told.reason), instead, settled))

    async def suspend(
        self, told: object | None, wait: ProviderWait, until: datetime, instead: Callable[[], None] = _nothing
    ) -> NoReturn:
        """Wait for a provider, unless `instead` turns the saga back; `told` is what is not on record of that."""
        going = self._chronicle.going().status
        change = StatusChange(going, None, None, until, wait.provider, wait.since)
        await self._rest(Resting((told,) if told else (), change, instead, settled=True))

    async def stranded(self, reason: str) -> NoReturn:
        """Wait for fitting code."""
        await self._rest(Resting((SagaStranded(reason),), StatusChange("stranded", reason), _nothing))

    async def recorded(self, slot: int, name: str, arguments: str | None = None) -> Checkpoint | None:
        """What an earlier life recorded under this number; strands the saga if that was something else."""
        checkpoint = self._recording.checkpoints.get(slot)
        if checkpoint is None:
            return None
        if checkpoint.name != name:
            await self.stranded(f"step {slot} is recorded as {checkpoint.name}, but the code here does {name}")
        known = self._recording.arguments.get(slot)
        if arguments is not None and known is not None and known != arguments:
            await self.stranded(f"step {slot}, {name}, is recorded with other arguments than the code here gives it")
        return checkpoint

    async def rest(self, wanted: Resting) -> NoReturn:
        """Rest now, knowing all that the saga was told."""
        while True:
            wanted.instead()
            entry = self._chronicle.entry(*wanted.told, change=wanted.change, park=True, settled=wanted.settled)
            if await self._chronicle.write_if_untold(entry):
                for stuck in wanted.told:
                    if isinstance(stuck, SagaStuck):
                        _say(self._kind, self._chronicle.journal.identity.id, stuck)
                raise Parked
            self._chronicle.reread(await self._chronicle.journal.reload())

    async def _rest(self, wanted: Resting) -> NoReturn:
        if self._later:
            raise wanted
        await self.rest(wanted)


def _say(kind: str, id: str, stuck: SagaStuck) -> None:
    """One line for each time that a saga becomes stuck: somebody must act."""
    where = f"step {stuck.compensation or stuck.step}" if stuck.step else "run"
    log.warning("Saga %s (%s) is stuck at %s: %s", id, kind, where, one_line(stuck.reason))
