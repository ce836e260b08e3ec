"""Tasks of a team's code: each is named while it runs, cannot end the process, and cannot end what is not its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from workflows.amends.call import AttemptContext, attempt_context
from workflows.amends.engine.user_code.running_code import on_loop
from workflows.amends.run_calls import CallContext, call_context
from workflows.amends.values.printable import error_repr, one_line

T = TypeVar("T")
log = logging.getLogger("amends.saga")

EXITS = (SystemExit, KeyboardInterrupt)
"""asyncio lets these leave the event loop, even where they are caught: in a team's code they are held."""


class ExitAttempted(BaseException):
    """Code of a saga wanted to end the process: a bug of that saga."""


@dataclass(eq=False)
class CodeScope:
    """Whose code runs: a saga, its type, and the step, or None for `run`.

    `exit` is what wanted to end the process in it, or in a task that it made; `exited` is told of that too where nobody
    looks at it any more.
    """

    saga: str
    saga_type: str
    step: str | None
    exited: Callable[[BaseException], None]
    who: bytes
    over: bool = False
    exit: ExitAttempted | None = None
    trespassed: bool = False


scope: ContextVar[CodeScope | None] = ContextVar("scope", default=None)
"""Whose code this is; tasks that it makes inherit it."""


class GuardedTask(asyncio.Task[T]):
    """A task that code of another saga cannot cancel: `asyncio.all_tasks()` gives that code the whole process."""

    saga: str | None = None
    """Whose it is; None for a task of the engine or of the server."""

    def cancel(self, msg: Any = None) -> bool:
        caller = scope.get()
        if caller is None or caller.saga == self.saga:
            return super().cancel(msg)
        if not caller.trespassed:
            caller.trespassed = True
            where = caller.step or "run"
            log.warning("%s: %s cancels tasks that are not its own; that is not done.", caller.saga, where)
        return False


class GuardedCoroutine(Coroutine[Any, Any, T]):
    """A coroutine of a team's, named while it runs; what would end the process becomes ExitAttempted."""

    def __init__(self, inner: Coroutine[Any, Any, T], mine: CodeScope) -> None:
        self._inner, self._scope = inner, mine

    def send(self, value: Any) -> Any:
        return self._go(self._inner.send, value)

    def throw(self, *error: Any) -> Any:
        return self._go(self._inner.throw, *error)

    def close(self) -> None:
        self._go(self._inner.close)

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
            mine.exit = mine.exit or ExitAttempted(error_repr(error))
            if mine.over or mine.step is None:
                mine.exited(mine.exit)
            raise ExitAttempted(error_repr(error)) from error
        finally:
            on_loop.enter(before)


CLOSES: Final = 25
"""How often code may go on waiting although it is closed."""
_unclosed: list[Coroutine[Any, Any, Any]] = []
"""What cannot be closed is kept: collected, it would run once more, in the middle of something else."""


def drop_coroutine(coroutine: Coroutine[Any, Any, Any]) -> None:
    """End a coroutine where it waits: it is told by GeneratorExit, and nobody goes on with it whatever it does."""
    for _ in range(CLOSES):
        try:
            coroutine.close()
        except RuntimeError:  # it waits for something else instead
            continue
        except BaseException as error:
            log.debug("What was dropped ended with an error: %s", one_line(error_repr(error)))
        return
    _unclosed.append(coroutine)


def code_context(mine: CodeScope, speaks: CallContext, mine_turn: AttemptContext | None = None) -> Context:
    """The context of code of a team: whose it is, what it may say, and the time that it has."""
    context = copy_context()
    context.run(scope.set, mine)
    context.run(call_context.set, speaks)
    if mine_turn:
        context.run(attempt_context.set, mine_turn)
    return context


def guard_tasks(loop: asyncio.AbstractEventLoop | None = None) -> None:
    """From now on, tasks that are made inside sagas hold what would leave this event loop, and touch no other tasks."""
    loop = loop or asyncio.get_running_loop()
    known = loop.get_task_factory()
    if not isinstance(known, _Factory):
        loop.set_task_factory(_Factory(known))  # type: ignore[arg-type]


class _Factory:
    """Makes tasks as before, but those of a team's code from held coroutines."""

    def __init__(self, known: Callable[..., Any] | None) -> None:
        self._known = known or (lambda loop, coroutine, **options: GuardedTask(coroutine, loop=loop, **options))

    def __call__(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Future[Any]:
        context: Context | None = options.get("context")
        mine = scope.get() if context is None else context.get(scope)
        if mine is None:
            plain: asyncio.Future[Any] = self._known(loop, coroutine, **options)
            return plain
        made: asyncio.Task[Any] = self._known(loop, GuardedCoroutine(coroutine, mine), **options)
        if isinstance(made, GuardedTask):
            made.saga = mine.saga
        made.add_done_callback(partial(_tell, mine))
        return made


def _tell(mine: CodeScope, task: asyncio.Task[Any]) -> None:
    """Say how a task of a saga's own ended, where asyncio would complain, without a name, that nobody has asked."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.info("%s: a task that %s made has failed with %s", mine.saga, mine.step or "run", type(error).__name__)
