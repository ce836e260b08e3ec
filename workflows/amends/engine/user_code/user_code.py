"""Code of a team, run in tasks of its own: whatever it raises, returns or swallows, the engine sees it and goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from workflows.amends.call import AttemptContext, AttemptTimer, SentCalls
from workflows.amends.engine.user_code.call_rules import StepRules
from workflows.amends.engine.user_code.eager_tasks import EnteredCoroutine, run_as_task
from workflows.amends.engine.user_code.running_code import code_label
from workflows.amends.engine.user_code.tasks import (
    CodeScope,
    GuardedCoroutine,
    GuardedTask,
    code_context,
    drop_coroutine,
)
from workflows.amends.run_calls import CallContext
from workflows.amends.values.limits import Limits

T = TypeVar("T")

STOP_SECONDS: Final = 5
"""How often, once a second, code is cancelled that does not end."""


@dataclass(frozen=True)
class CodeReturned(Generic[T]):
    """Code of a team's has returned this."""

    value: T


@dataclass(frozen=True)
class CodeRaised:
    """Code of a team's has raised this; `late` says that its time was over, or that nobody wanted it any more."""

    error: BaseException
    late: bool = False


class CodeNeverEnds(Exception):
    """Code of a team's went on although it was cancelled again and again, until it was dropped where it waited."""


class CodeTask(Generic[T]):
    """A coroutine of a team's in a task of its own; what needs no waiting has ended when `begin` returns."""

    def __init__(self, coroutine: GuardedCoroutine[T], mine: CodeScope) -> None:
        self._coroutine, self._mine, self._said = coroutine, mine, None
        self.how: CodeReturned[T] | CodeRaised | None = None
        self._listener: asyncio.Future[None] | None = None
        self.task: GuardedTask[None] | None = None
        self._outbound: SentCalls | None = None

    def begin(self, speaks: CallContext, mine_turn: AttemptContext | None) -> None:
        """Run it until it waits for something."""
        loop, mine = asyncio.get_running_loop(), self._mine
        context = code_context(mine, speaks, mine_turn)
        name = f"{mine.step} of {mine.saga}"
        self.task = GuardedTask(EnteredCoroutine(self._rest()), loop=loop, name=name, context=context)
        self.task.saga = mine.saga
        self._outbound = mine_turn.outbound if mine_turn else None
        self._said = run_as_task(self.task, context, self._step, (self._coroutine.send, None))

    def cancel(self) -> None:
        """Cancel it, as often as somebody wants."""
        if self.task:
            self.task.cancel()

    def drop(self) -> None:
        """Go on with it no more."""
        self.how = CodeRaised(CodeNeverEnds(), True)
        drop_coroutine(self._coroutine)
        self.cancel()

    def _step(self, given: tuple[Callable[[Any], Any], Any]) -> Any:
        try:
            said = given[0](given[1])
        except StopIteration as over:
            self.how = CodeReturned(over.value)
        except BaseException as error:
            self.how = CodeRaised(error)
        else:
            if self._outbound:
                self._outbound.note_wait()
            return said
        self.wake()
        return None

    def wake(self) -> None:
        """Wake whoever waits for it."""
        if self._listener and not self._listener.done():
            self._listener.set_result(None)

    async def ended(self) -> None:
        """Return once it has ended, or somebody wakes whoever waits here; a cancel of that one does not reach it."""
        if self.how is None:
            self._listener = asyncio.get_running_loop().create_future()
            await self._listener

    def _rest(self) -> Generator[Any, Any, None]:
        """What is left of it once it waits for something."""
        said = self._said
        while self.how is None:
            how: tuple[Callable[[Any], Any], Any]
            try:
                how = self._coroutine.send, (yield said)
            except BaseException as error:
                how = self._coroutine.throw, error
            said = self._step(how) if self.how is None else None


class UserCode:
    """What runs of one saga's code: its steps, its transactions and its compensations, each in a task of its own."""

    def __init__(self, saga: str, saga_type: str, limits: Limits, noted: Callable[[BaseException], None]) -> None:
        self._saga, self._saga_type, self.limits, self._noted = saga, saga_type, limits, noted
        self._clocks: dict[AttemptTimer, None] = {}
        self._labels: dict[str | None, bytes] = {}
        self.given_up = False
        """Whether `run` does not wait any more for what it asked for."""

    def scope(self, step: str | None) -> CodeScope:
        return CodeScope(self._saga, self._saga_type, step, self._noted, self.label(step))

    def label(self, step: str | None) -> bytes:
        """How a step's code, or `run`, is named to the watchdog."""
        known = self._labels.get(step)
        if known is None:
            known = self._labels[step] = code_label(self._saga, self._saga_type, step)
        return known

    def expire_all(self) -> None:
        """Nobody wants what runs any more: its time is over now."""
        self.given_up = True
        for clock in tuple(self._clocks):
            clock.expire()

    async def run(
        self,
        step: str,
        seconds: float,
        body: Callable[[], Coroutine[Any, Any, T]],
        now: datetime,
        may_call: Callable[[str | None], Awaitable[None]] | None = None,
        outbound: SentCalls | None = None,
    ) -> CodeReturned[T] | CodeRaised:
        """Run a function of the team's in the time that it has; returns how it ended, and raises nothing of it.

        What it sends to other systems, if it `may_call` any, is noted in `outbound`.

        Who does not end when the time is over is cancelled, every second anew. After five times it is dropped where it
        waits: CodeNeverEnds.
        """
        mine, speaks = self.scope(step), StepRules(step, self.limits, now)
        attempt = CodeTask(GuardedCoroutine(body(), mine), mine)
        clock = AttemptTimer(seconds, attempt.wake)
        try:
            self._clocks[clock] = None
            attempt.begin(speaks, may_call and AttemptContext(clock, may_call, outbound or SentCalls()))
            if attempt.how is None:
                clock.start()
                await attempt.ended()
            late = attempt.how is None
            if late:
                await _stop(attempt)
            return CodeRaised(speaks.misplaced) if speaks.misplaced else _how(attempt, mine, late)
        finally:
            clock.stop()
            self._clocks.pop(clock, None)
            mine.over = attempt.how is not None
            if not mine.over:
                attempt.cancel()


async def _stop(attempt: CodeTask[Any]) -> None:
    """Cancel an attempt until it has ended, and drop it if it never does."""
    for _ in range(STOP_SECONDS):
        if attempt.how is not None:
            return
        attempt.cancel()
        assert attempt.task is not None
        await asyncio.wait({attempt.task}, timeout=1.0)
    if attempt.how is None:
        attempt.drop()


def _how(attempt: CodeTask[T], mine: CodeScope, late: bool) -> CodeReturned[T] | CodeRaised:
    """How an attempt has ended; wanting to end the process counts more than what came of it."""
    if mine.exit:
        return CodeRaised(mine.exit)
    assert attempt.how is not None
    return CodeRaised(attempt.how.error, late) if isinstance(attempt.how, CodeRaised) else attempt.how
