"""Where a saga rests until a person acts, or until code is back that fits what is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from workflows.engine.chronicle import Chronicle
from workflows.ports import Checkpoint, Parked, StatusChange
from workflows.story import OperatorActed, SagaStranded, SagaStuck


class Resting(BaseException):
    """One of several branches wants the saga to rest; it does once the others have settled."""

    def __init__(self, told: object, change: StatusChange) -> None:
        self.told, self.change = told, change


class Attention:
    """What persons decided about one saga, and how it asks them."""

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle
        self._recording = chronicle.journal.recording
        self._later = False

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

    async def stuck(self, told: SagaStuck) -> NoReturn:
        """Ask a person."""
        await self._rest(told, StatusChange("stuck", told.reason))

    async def stranded(self, reason: str) -> NoReturn:
        """Wait for fitting code."""
        await self._rest(SagaStranded(reason), StatusChange("stranded", reason))

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
        """Rest now."""
        await self._chronicle.write(self._chronicle.entry(wanted.told, change=wanted.change, park=True))
        raise Parked

    async def _rest(self, told: object, change: StatusChange) -> NoReturn:
        wanted = Resting(told, change)
        if self._later:
            raise wanted
        await self.rest(wanted)
