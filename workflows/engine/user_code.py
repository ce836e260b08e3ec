"""Code of a team, run in tasks of its own: whatever it raises, returns or swallows, the engine sees it and goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, Generic, TypeVar

from workflows.calls import Turn, turn
from workflows.engine.eager import Entered, as_task
from workflows.engine.marks import label, on_loop
from workflows.engine.speaking import StepSpeaks
from workflows.limits import Limits
from workflows.said import named, one_line
from workflows.words import Performer, performer

T = TypeVar("T")
log = logging.getLogger("amends.saga")

EXITS = (SystemExit, KeyboardInterrupt)
"""asyncio lets these leave the event loop, even where they are caught: in a team's code they are held."""


STOP_SECONDS: Final = 5
"""How often, once a second, code is cancelled that does not end."""


class Exited(BaseException):
    """Code of a saga wanted to end the process: a bug of that saga."""


@dataclass(eq=False)
class Scope:
    """Whose code runs: a saga, its kind, and the step, or None for `run`.

    `exit` is what wanted to end the process in it, or in a task that it made; `exited` is told of that too where nobody
    looks at it any more.
    """

    saga: str
    kind: str
    step: str | None
    exited: Callable[[BaseException], None]
    who: bytes
    over: bool = False
    exit: Exited | None = None


scope: ContextVar[Scope | None] = ContextVar("scope", default=None)
"""Whose code this is; tasks that it makes inherit it."""


class Held(Coroutine[Any, Any, T]):
    """A coroutine of a team's, named while it runs; what would end the process becomes Exited."""

    def __init__(self, inner: Coroutine[Any, Any, T], mine: Scope) -> None:
        self._inner, self._scope = inner, mine

    def send(self, value: Any) -> Any:
        return self._go(self._inner.send, value)

    def throw(self, *error: Any) -> Any:
        return self._go(self._inner.throw, *error)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, T]:
        how: Callable[[Any], Any] = self.send
        given: Any = None
        while True:
            try:
                waits = how(given)
            except StopIteration as over:
                ended: T = over.value
                return ended
            try:
                how, given = self.send, (yield waits)
            except BaseException as error:
                how, given = self.throw, error

    def __getattr__(self, name: str) -> Any:
        """What is asked of a coroutine's frame, by anyio for instance, is the team's."""
        return getattr(self._inner, name)

    def _go(self, how: Callable[..., Any], *given: Any) -> Any:
        mine = self._scope
        before = on_loop.enter(None if mine.over else mine.who)
        try:
            return how(*given)
        except EXITS as error:
            mine.exit = mine.exit or Exited(named(error))
            if mine.over or mine.step is None:
                mine.exited(mine.exit)
            raise Exited(named(error)) from error
        finally:
            on_loop.enter(before)


@dataclass(frozen=True)
class Returned(Generic[T]):
    """Code of a team's has returned this."""

    value: T


@dataclass(frozen=True)
class Raised:
    """Code of a team's has raised this; `late` says that its time was over, or that nobody wanted it any more."""

    error: BaseException
    late: bool = False


class NeverEnds(Exception):
    """Code of a team's goes on although it was cancelled again and again."""


def context_of(mine: Scope, speaks: Performer, mine_turn: Turn | None = None) -> Context:
    """The context of code of a team: whose it is, what it may say, and the time that it has."""
    context = copy_context()
    context.run(scope.set, mine)
    context.run(performer.set, speaks)
    if mine_turn:
        context.run(turn.set, mine_turn)
    return context


class Attempt(Generic[T]):
    """A coroutine of a team's in a task of its own. It has begun already: what needs no waiting has ended by then."""

    def __init__(self, coroutine: Held[T], mine: Scope, speaks: Performer, mine_turn: Turn | None) -> None:
        loop = asyncio.get_running_loop()
        self._coroutine, self._said = coroutine, None
        self.how: Returned[T] | Raised | None = None
        self._listener: asyncio.Future[None] | None = None
        context = context_of(mine, speaks, mine_turn)
        name = f"{mine.step or 'run'} of {mine.saga}"
        self.task = asyncio.Task(Entered(self._rest()), loop=loop, name=name, context=context)
        self._said = as_task(self.task, context, self._step, (coroutine.send, None))

    def _step(self, given: tuple[Callable[[Any], Any], Any]) -> Any:
        try:
            return given[0](given[1])
        except StopIteration as over:
            self.how = Returned(over.value)
        except BaseException as error:
            self.how = Raised(error)
        if self._listener and not self._listener.done():
            self._listener.set_result(None)
        return None

    async def ended(self) -> None:
        """Return once it has ended; a cancel of whoever waits does not reach it."""
        if self.how is None:
            self._listener = asyncio.get_running_loop().create_future()
            await self._listener

    def _rest(self) -> Generator[Any, Any, None]:
        """What is left of it once it waits for something."""
        said = self._said
        while self.how is None:
            try:
                given = yield said
            except BaseException as error:
                said = self._step((self._coroutine.throw, error))
            else:
                said = self._step((self._coroutine.send, given))


def hold_exits() -> None:
    """From now on, tasks that are made inside sagas hold what would leave the running event loop."""
    loop = asyncio.get_running_loop()
    known = loop.get_task_factory()
    if not isinstance(known, _Factory):
        loop.set_task_factory(_Factory(known))  # type: ignore[arg-type]


class _Factory:
    """Makes tasks as before, but those of a team's code from held coroutines."""

    def __init__(self, known: Callable[..., Any] | None) -> None:
        self._known = known or (lambda loop, coroutine, **options: asyncio.Task(coroutine, loop=loop, **options))

    def __call__(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Future[Any]:
        context: Context | None = options.get("context")
        mine = scope.get() if context is None else context.get(scope)
        if mine is None:
            plain: asyncio.Future[Any] = self._known(loop, coroutine, **options)
            return plain
        made: asyncio.Task[Any] = self._known(loop, Held(coroutine, mine), **options)
        made.add_done_callback(partial(_tell, mine))
        return made


def _tell(mine: Scope, task: asyncio.Task[Any]) -> None:
    """Say how a task of a saga's own ended, where asyncio would complain, without a name, that nobody has asked."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.info("%s: a task that %s made has failed: %s", mine.saga, mine.step or "run", one_line(named(error)))


class UserCode:
    """What runs of one saga's code: its steps, its transactions and its compensations, each in a task of its own."""

    def __init__(self, saga: str, kind: str, limits: Limits, noted: Callable[[BaseException], None]) -> None:
        self._saga, self._kind, self.limits, self._noted = saga, kind, limits, noted
        self._clocks: set[asyncio.Timeout] = set()
        self._labels: dict[str | None, bytes] = {}
        self.given_up = False
        """Whether `run` does not wait any more for what it asked for."""

    def scope(self, step: str | None) -> Scope:
        return Scope(self._saga, self._kind, step, self._noted, self.who(step))

    def who(self, step: str | None) -> bytes:
        """How a step's code, or `run`, is named to the watchdog."""
        known = self._labels.get(step)
        if known is None:
            known = self._labels[step] = label(self._saga, self._kind, step)
        return known

    def give_up(self) -> None:
        """Nobody wants what runs any more: its time is over now."""
        self.given_up = True
        for clock in self._clocks:
            clock.reschedule(asyncio.get_running_loop().time())

    async def within(
        self,
        step: str,
        seconds: float,
        body: Callable[[], Coroutine[Any, Any, T]],
        now: datetime,
        may_call: Callable[[], Awaitable[None]] | None = None,
    ) -> Returned[T] | Raised:
        """Run a function of the team's in the time that it has; returns how it ended, and raises nothing of it.

        Who does not end when the time is over is cancelled, every second anew. After five times that is an error too:
        NeverEnds, and then it still runs.
        """
        mine, clock = self.scope(step), asyncio.timeout(seconds)
        attempt: Attempt[T] | None = None
        try:
            async with clock:
                speaks, mine_turn = StepSpeaks(step, self.limits, now), may_call and Turn(clock, may_call)
                self._clocks.add(clock)
                attempt = Attempt(Held(body(), mine), mine, speaks, mine_turn)
                await attempt.ended()
            return _how(attempt, mine, False)
        except TimeoutError:
            assert attempt is not None
            return _how(attempt, mine, True) if await _stopped(attempt) else Raised(NeverEnds(), True)
        finally:
            self._clocks.discard(clock)
            if attempt:
                mine.over = attempt.how is not None
                if not mine.over:
                    attempt.task.cancel()


async def _stopped(attempt: Attempt[Any]) -> bool:
    """Cancel an attempt until it has ended; whether it has."""
    for _ in range(STOP_SECONDS):
        if attempt.how is not None:
            break
        attempt.task.cancel()
        await asyncio.wait({attempt.task}, timeout=1.0)
    return attempt.how is not None


def _how(attempt: Attempt[T], mine: Scope, late: bool) -> Returned[T] | Raised:
    """How an attempt has ended; wanting to end the process counts more than what came of it."""
    if mine.exit:
        return Raised(mine.exit)
    assert attempt.how is not None
    return Raised(attempt.how.error, late) if isinstance(attempt.how, Raised) else attempt.how
