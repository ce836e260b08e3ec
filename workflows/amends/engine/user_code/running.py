"""The `run` of one saga in a task of its own: the engine answers its words, and ends it without its knowing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Final

from domain.amends.errors import Refusal
from workflows.amends.engine.user_code.call_rules import RunRules
from workflows.amends.engine.user_code.eager_tasks import EnteredCoroutine, cancel_awaited, run_as_task
from workflows.amends.engine.user_code.running_code import on_loop
from workflows.amends.engine.user_code.tasks import CodeScope, GuardedTask, code_context, drop_coroutine
from workflows.amends.engine.user_code.user_code import CodeRaised, CodeReturned
from workflows.amends.run_calls import Word
from workflows.amends.waker import Waker

log = logging.getLogger("amends.saga")

REFUSALS: Final = 25
"""How often `run` may ask for something after its end, in `finally` for instance, before it is dropped."""
CLOSE_SECONDS: Final = 1.0
"""How long what `run` has to tidy up is waited for."""


class ExecutionOver(BaseException):
    """This execution of the saga is over: nothing that `run` asks for is done any more."""


class RunCoroutine:
    """`run` of one saga, from word to word.

    The engine answers a word by letting `run` go on from it at once, as if its own task did; what `run` waits for
    besides its words is waited for by that task, and `waker` is used when it comes to a word or to its end. `stopped`
    is told when something in `run`, such as a time limit of its own, takes back what it asks for: if it says True,
    `run` does not go on.
    """

    def __init__(
        self,
        run: Coroutine[Any, Any, Any],
        mine: CodeScope,
        speaks: RunRules,
        waker: Waker,
        stopped: Callable[[Word[Any]], bool],
    ) -> None:
        self._run, self._scope, self._waker, self._speaks, self._stopped = run, mine, waker, speaks, stopped
        self.word: Word[Any] | None = None
        """What it asks for and has not been given."""
        self.ended: CodeReturned[Any] | CodeRaised | None = None
        self._waits: list[Any] = []
        self._waiter: asyncio.Future[None] | None = None
        self._over, self._dropped, self._cancelled, self._refused = False, False, False, 0
        self._context = code_context(mine, speaks)
        loop = asyncio.get_running_loop()
        self._entered = EnteredCoroutine(self._drive())
        self.task = GuardedTask(self._entered, loop=loop, name=f"run of {mine.saga}", context=self._context)
        self.task.saga = mine.saga
        speaks.task = self.task
        self.task.add_done_callback(self._done)
        self._go_on(self._run.send, None)

    def answer(self, value: Any) -> None:
        """Give `run` what it asked for."""
        self._go_on(self._run.send, value)

    def refuse(self, refusal: Refusal) -> None:
        """Raise a refusal where `run` asked."""
        self._go_on(self._run.throw, refusal)

    async def close(self) -> None:
        """End it, wherever it is: its own clean-up may run, but nothing that it asks for is done. Once is enough."""
        self._over = self._scope.over = self._speaks.over = True
        for _ in range(2):
            if not self._wake() and self._entered.begun:
                self.task.cancel()
            if self.ended:
                return
            await asyncio.wait({self.task}, timeout=CLOSE_SECONDS / 2)
        if not self.task.done():
            log.info("%s: run does not end, though this execution of it is over; it is dropped.", self._scope.saga)
            self._dropped_where_it_waits()

    def _go_on(self, how: Callable[[Any], Any], given: Any) -> None:
        """Let `run` go on until it says a word, waits for something else, which its task then does, or ends."""
        self.word = None
        said = run_as_task(self.task, self._context, partial(self._step, how), given)
        if isinstance(said, Word):
            self.word = said
        elif self.ended is None:
            self._waits.append(said)
            self._wake()

    def _wake(self) -> bool:
        """Wake the task of `run`, if it waits."""
        if self._waiter is None:
            return False
        if not self._waiter.done():
            self._waiter.set_result(None)
        return True

    # -- in its own task

    def _drive(self) -> Generator[Any, Any, None]:
        """Wait for what `run` waits for besides its words, and do nothing meanwhile."""
        while self.ended is None:
            yield from self._rest()
            said = self._waits.pop() if self._waits else None
            if self.ended is None and (self._over or self._cancelled):
                self._cancelled = False
                if not cancel_awaited(said):
                    said = self._step(self._run.throw, asyncio.CancelledError())
            while self.ended is None and (self._over or not isinstance(said, Word)):
                said = self._refused_now() if isinstance(said, Word) else (yield from self._waited(said))
            if isinstance(said, Word):
                self.word = said
            self._waker.wake()

    def _rest(self) -> Generator[Any, Any, None]:
        """Wait until there is something to wait for, or until all is over; a cancel takes back what `run` asks for."""
        while not (self._waits or self._over or self._cancelled or self.ended):
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                yield from self._waiter
            except asyncio.CancelledError:
                if self._over or not self.task.cancelling():
                    continue  # it was taken back before it came
                if self.word is None:
                    self._cancelled = True
                elif not self._dropped:
                    self._dropped = self._stopped(self.word)
                    self._waker.wake()
            finally:
                self._waiter = None

    def _waited(self, said: Any) -> Generator[Any, Any, Any]:
        """Wait for something that is no word, and let `run` go on with what comes of it."""
        how: Callable[[Any], Any] = self._run.send
        try:
            given = yield said
        except BaseException as error:
            how, given = self._run.throw, error
        return self._step(how, given) if self.ended is None else None

    def _dropped_where_it_waits(self) -> None:
        self.ended = CodeRaised(ExecutionOver())
        drop_coroutine(self._run)
        self.task.cancel()

    def _refused_now(self) -> Any:
        """A word that comes after the end: refused, and after many of them `run` is dropped where it stands."""
        self._refused += 1
        if self._refused <= REFUSALS:
            return self._step(self._run.throw, ExecutionOver())
        self._dropped_where_it_waits()
        return None

    def _step(self, how: Callable[[Any], Any], given: Any) -> Any:
        """Let `run` go on until it waits for something, which is returned, or ends."""
        before = on_loop.enter(self._scope.who)
        try:
            return how(given)
        except StopIteration as over:
            self.ended = CodeReturned(over.value)
        except BaseException as error:
            self.ended = CodeRaised(error)
        finally:
            on_loop.enter(before)
        self._wake()
        return None

    def _done(self, task: asyncio.Task[None]) -> None:
        """Its task is over, also where somebody ended it from outside."""
        if self.ended is None:
            drop_coroutine(self._run)
            error = None if task.cancelled() else task.exception()
            self.ended = CodeRaised(error or asyncio.CancelledError())
            self._waker.wake()
