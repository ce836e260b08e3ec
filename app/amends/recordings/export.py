"""Recordings without the values that are marked, and without those that nobody knows: what a project may keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from app.amends.recordings.masking import SagaTypes, masked_saga
from app.amends.recordings.stand_ins import StandIns
from app.amends.schema.register import ShapeRegister
from domain.amends.errors import AmendsError
from domain.amends.vocabulary import Unreadable
from workflows.amends.compatibility.recorded_saga import RecordedEvent, RecordedSaga
from workflows.amends.compatibility.replay_log import FITS, CodeAtHand
from workflows.amends.compatibility.replaying import Replay, replay
from workflows.amends.engine.steps.step_execution import StepExecution
from workflows.amends.saga import Saga
from workflows.amends.values.printable import error_message

ROUNDS: Final = 20
"""How often a recording is replayed for its digests at most: each wrong one of a child under way ends a replay."""
UNREACHED: Final = {"arguments": "0" * 32}
"""What is said of the arguments of a step that `run` does not come to: their digest would tell of the real ones."""


class NotExported(AmendsError):
    """Saga {id} is not exported: {problem}."""

    id: str
    problem: str


class _OtherWay(Exception):
    """Other values lead `run` another way."""


class Exporter:
    """Exports recordings of the sagas of the code here, by all that servers know of the shapes of values."""

    def __init__(
        self, register: ShapeRegister, sagas: Mapping[tuple[str, int], Saga[Any, Any]], code: CodeAtHand
    ) -> None:
        self._register, self._sagas, self._code = register, sagas, code

    async def export(self, recorded: RecordedSaga, types: SagaTypes) -> RecordedSaga:
        """The recording as it may be kept, by the types of the saga's children; it replays as the real one does.

        Raises NotExported where it would not.
        """
        saga = self._sagas.get((recorded.name, recorded.version))
        if saga is None:
            what = f"{recorded.name}:{recorded.version}"
            raise NotExported(recorded.id, f"there is no code for {what} here; export it with the code that runs it")
        real = await replay(recorded.recording(), saga, self._code)
        if real.verdict != FITS:
            problem = f"the code here does not fit it; export it with the code that runs it ({real.verdict.reason})"
            raise NotExported(recorded.id, problem)
        try:
            masked = masked_saga(recorded, self._register, types, StandIns())
        except Unreadable as error:
            raise NotExported(recorded.id, error_message(error)) from None
        try:
            return await self._with_digests(masked, saga, real)
        except _OtherWay as other:
            problem = (
                f"without the values that are marked it is not replayed as with them: {other}; choose another saga"
            )
            raise NotExported(recorded.id, problem) from None

    async def _with_digests(self, masked: RecordedSaga, saga: Saga[Any, Any], real: Replay) -> RecordedSaga:
        """The same with the digests that the code here makes of the arguments that it gives now.

        Those of finished steps are not compared at first, so that only a child under way has a wrong one.
        """
        trial = masked
        for _ in range(ROUNDS):
            read = trial.recording()
            made = await replay(replace(read, replay=replace(read.replay, arguments={})), saga, self._code)
            trial = replace(trial, events=_digested(trial.events, made.steps))
            if made.verdict == FITS:
                break
        again = await replay(trial.recording(), saga, self._code)
        if again.verdict != FITS or _names(again) != _names(real):
            raise _OtherWay(again.verdict.reason or "its run takes another way")
        return trial


def _names(made: Replay) -> list[tuple[int, str]]:
    return [(each.step_id, each.step.name) for each in made.steps]


def _digested(events: Iterable[RecordedEvent], steps: Iterable[StepExecution]) -> list[RecordedEvent]:
    """Events with what their steps say of their arguments in this replay."""
    known = {each.step_id: each.step_event(_Told).said for each in steps}
    return [_told(event, known) for event in events]


def _told(event: RecordedEvent, known: Mapping[Any, Mapping[str, Any]]) -> RecordedEvent:
    """An event about a step, with what is made of its arguments; when it was started stays as it is."""
    if "arguments" not in event.data:
        return event
    said = known.get(event.data.get("slot"), UNREACHED)
    return replace(event, data=event.data | {name: said[name] for name in said if name in event.data})


class _Told:
    """What all events about a step say of its arguments."""

    def __init__(self, started_at: object, **said: Any) -> None:
        self.said = said
