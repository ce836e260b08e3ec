"""Tasks whose code begins at once, in whoever makes them: what needs no waiting costs no turn of the event loop.

Python 3.12 has such tasks of its own (`eager_task_factory`); these are for 3.11, and can go with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def run_as_task(task: asyncio.Task[Any], context: Context, how: Callable[[Any], Any], given: Any) -> Any:
    """Let a coroutine go on as if its task ran it, though another one does.

    `_enter_task` and `_leave_task` are what asyncio offers to those who run tasks.
    """
    me = asyncio.current_task()
    if me is task or me is None:
        return how(given)
    loop = task.get_loop()
    asyncio.tasks._leave_task(loop, me)
    asyncio.tasks._enter_task(loop, task)
    try:
        return context.run(how, given)
    finally:
        asyncio.tasks._leave_task(loop, task)
        asyncio.tasks._enter_task(loop, me)


def cancel_awaited(waited: Any) -> bool:
    """Cancel what a task waits for, as asyncio does for a task that is cancelled; whether the cancel comes out of that.

    What has come already, and a mere turn of the event loop, cannot be taken back.
    """
    cancel = getattr(waited, "cancel", None)
    return callable(cancel) and bool(cancel())


class EnteredCoroutine(Coroutine[Any, Any, T], Generic[T]):
    """What a task runs whose code has begun before it: a cancel of before its first turn meets it where it waits."""

    def __init__(self, rest: Generator[Any, Any, T]) -> None:
        self._rest, self.begun = rest, False

    def send(self, value: Any) -> Any:
        self.begun = True
        return self._rest.send(value)

    def throw(self, *error: Any) -> Any:
        if not self.begun:
            waited = self.send(None)
            if cancel_awaited(waited):
                return waited
        return self._rest.throw(*error)

    def close(self) -> None:
        self._rest.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._rest
