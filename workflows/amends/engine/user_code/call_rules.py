"""What the code of a saga may say, and where: `run` each of its words once and in its own task, a step none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn
from uuid import UUID

from workflows.amends.run_calls import ELSEWHERE, FOREIGN, UNAWAITED, MisplacedCall, Word
from workflows.amends.values.limits import Limits
from workflows.amends.waker import Waker


class RunRules:
    """What `run` may say: in its own task, each word once."""

    def __init__(
        self, saga: object, waker: Waker, limits: Limits, now: Callable[[], datetime], new_id: Callable[[], UUID]
    ) -> None:
        self.limits, self._saga, self._waker = limits, saga, waker
        self._now, self._new_id = now, new_id
        self._words: list[Word[Any]] = []
        self.task: asyncio.Task[None] | None = None
        self.misplaced: BaseException | None = None
        """What was done against the rules first, if anything was: a bug of the saga, whatever `run` makes of it."""
        self.over = self.next_is_recorded = False

    @property
    def unawaited_word(self) -> MisplacedCall | None:
        """A word that was said and never awaited, if there is one."""
        word = next((word for word in self._words if not word.taken), None)
        return MisplacedCall(word.says, UNAWAITED) if word else None

    def word_called(self, word: Word[Any]) -> None:
        if word.saga is not None and word.saga is not self._saga:
            self.raise_misplaced(MisplacedCall(word.says, FOREIGN))
        self._words = [*(each for each in self._words if not each.taken), word]

    def word_awaited(self, word: Word[Any]) -> None:
        if not self._is_here():
            self.raise_misplaced(MisplacedCall(word.says, ELSEWHERE))
        try:
            word.take()
        except MisplacedCall as twice:
            self.raise_misplaced(twice)

    def now(self) -> datetime:
        return self._now()

    def new_id(self) -> UUID:
        if not self._is_here():
            self.raise_misplaced(
                MisplacedCall("new_id", "is called in run's own task alone, else a replay makes other ids")
            )
        return self._new_id()

    def raise_misplaced(self, error: MisplacedCall) -> NoReturn:
        """Raise what was done against the rules, and let the engine know."""
        self.note_bug(error)
        raise error

    def note_bug(self, error: BaseException) -> None:
        """Take note of a bug of the saga, wherever it shows."""
        if not self.over and self.misplaced is None:
            self.misplaced = error
            self._waker.wake()

    def _is_here(self) -> bool:
        try:
            return asyncio.current_task() is self.task
        except RuntimeError:
            return False


class StepRules:
    """What a step may say: the time, and nothing else."""

    def __init__(self, step: str, limits: Limits, now: datetime) -> None:
        self.limits, self.next_is_recorded = limits, False
        self._step, self._at = step, now
        self.misplaced: MisplacedCall | None = None
        """What was done against the rules first, if anything was: a bug of the step, whatever it makes of it."""

    def word_called(self, word: Word[Any]) -> None:
        problem = f"was called inside {self._step}: a step does one thing and calls no other; call both from run"
        self._wrong(MisplacedCall(word.says, problem))

    def word_awaited(self, word: Word[Any]) -> None:
        self.word_called(word)

    def now(self) -> datetime:
        return self._at

    def new_id(self) -> NoReturn:
        problem = f"was called inside {self._step}, which may run again: make the id in run, and give it to the step"
        self._wrong(MisplacedCall("new_id", problem))

    def _wrong(self, error: MisplacedCall) -> NoReturn:
        self.misplaced = self.misplaced or error
        raise error
