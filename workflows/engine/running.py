"""The `run` of one saga in a task of its own: the engine answers its words, and ends it without its knowing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final

from domain.errors import Refusal
from workflows.bell import Bell
from workflows.engine.marks import on_loop
from workflows.engine.speaking import RunSpeaks
from workflows.engine.user_code import Raised, Returned, Scope, new_task
from workflows.said import named
from workflows.words import Word

log = logging.getLogger("amends.saga")

REFUSALS: Final = 25
"""How often `run` may ask for something after its end, in `finally` for instance, before it is dropped."""
CLOSE_SECONDS: Final = 1.0
"""How long what `run` has to tidy up is waited for."""


class OverNow(BaseException):
    """This execution of the saga is over: nothing that `run` asks for is done any more."""


class Running:
    """`run` of one saga, from word to word.

    `bell` is rung when it has said one, and when it has ended. `stopped` is told when something in `run`, such as a
    time limit of its own, takes back what it asks for: if it says True, `run` does not go on.
    """

    def __init__(
        self,
        run: Coroutine[Any, Any, Any],
        mine: Scope,
        speaks: RunSpeaks,
        bell: Bell,
        stopped: Callable[[Word[Any]], bool],
    ) -> None:
        self._run, self._scope, self._bell, self._speaks, self._stopped = run, mine, bell, speaks, stopped
        self.word: Word[Any] | None = None
        """What it asks for and has not been given."""
        self.ended: Returned[Any] | Raised | None = None
        self._reply: Callable[[], Any] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._over, self._refused = False, 0
        self.task = new_task(self._drive(), mine, speaks)
        speaks.task = self.task
        self.task.add_done_callback(self._done)

    def answer(self, value: Any) -> None:
        """Give `run` what it asked for."""
        self._give(lambda: self._step(self._run.send, value))

    def refuse(self, refusal: Refusal) -> None:
        """Raise a refusal where `run` asked."""
        self._give(lambda: self._step(self._run.throw, refusal))

    async def close(self) -> None:
        """End it, wherever it is: its own clean-up may run, but nothing that it asks for is done. Once is enough."""
        self._over = self._scope.over = self._speaks.over = True
        for _ in range(2):
            if self.task.done():
                return
            if self._waiter is None:
                self.task.cancel()
            elif not self._waiter.done():
                self._waiter.set_result(None)
            await asyncio.wait({self.task}, timeout=CLOSE_SECONDS / 2)
        if not self.task.done():
            log.info("%s: run has not ended, though this execution of it is over.", self._scope.saga)

    # -- in its own task

    async def _drive(self) -> None:
        await self

    def __await__(self) -> Generator[Any, Any, None]:
        """Drive `run`: its words are answered by the engine, whatever else it waits for is waited for."""
        said = self._step(self._run.send, None)
        while self.ended is None:
            if isinstance(said, Word):
                said = yield from self._asked(said)
                continue
            try:
                given = yield said
            except BaseException as error:
                said = self._step(self._run.throw, error)
            else:
                said = self._step(self._run.send, given)

    def _asked(self, word: Word[Any]) -> Generator[Any, Any, Any]:
        """Wait for the engine's answer to a word; goes on with `run` by it."""
        if self._over:
            return self._refused_now()
        self.word, self._reply = word, None
        self._bell.ring()
        dropped = False
        while (self._reply is None or dropped) and not self._over:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                yield from self._waiter
            except asyncio.CancelledError:
                dropped = dropped or (not self._over and self._stopped(word))
                self._bell.ring()
            finally:
                self._waiter = None
        if self._reply is not None and not self._over:
            return self._reply()
        return self._step(self._run.throw, asyncio.CancelledError())

    def _refused_now(self) -> Any:
        """A word that comes after the end: refused, and after many of them `run` is dropped where it stands."""
        self._refused += 1
        if self._refused <= REFUSALS:
            return self._step(self._run.throw, OverNow())
        self.ended = Raised(OverNow())
        try:
            self._run.close()
        except BaseException as error:
            log.info("%s: run does not end, though this execution of it is over: %s", self._scope.saga, named(error))
        return None

    def _give(self, reply: Callable[[], Any]) -> None:
        self.word, self._reply = None, reply
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def _step(self, how: Callable[..., Any], given: Any) -> Any:
        """Let `run` go on until it waits for something, which is returned, or ends."""
        on_loop.enter(self._scope.who)
        try:
            return how(given)
        except StopIteration as over:
            self.ended = Returned(over.value)
        except BaseException as error:
            self.ended = Raised(error)
        finally:
            on_loop.leave()
        return None

    def _done(self, task: asyncio.Task[None]) -> None:
        """Its task is over, also where it was cancelled before it began."""
        if self.ended is None:
            self._run.close()
            error = None if task.cancelled() else task.exception()
            self.ended = Raised(error or asyncio.CancelledError())
        self._bell.ring()
