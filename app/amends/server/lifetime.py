"""The lifetime of a server's process: it goes on whatever code of sagas raises, and ends in time whatever that does."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from workflows.amends.engine.user_code.tasks import guard_tasks
from workflows.amends.values.printable import error_repr

T = TypeVar("T")
log = logging.getLogger("amends")

HARD_SECONDS: Final = 18.0
"""How long a process may go on after it was asked to stop, also with an event loop that does not answer."""
TIDY_SECONDS: Final = 2.0
"""How long leftover tasks and threads are waited for at the end."""


def run_until_signal(main: Callable[[asyncio.Event], Coroutine[Any, Any, T]], last: Callable[[], None]) -> T:
    """Run `main` to its end; the event that it is given is set by SIGTERM and SIGINT.

    An exception that asyncio lets leave the event loop, such as a SystemExit in a callback, ends nothing. `last` is
    called before a process is ended that does not end by itself.
    """
    loop = _new_loop()
    try:
        stopping = asyncio.Event()
        _end_by_signals(loop, stopping, last)
        task = loop.create_task(main(stopping), name="server")
        while True:
            try:
                return loop.run_until_complete(task)
            except (SystemExit, KeyboardInterrupt, RuntimeError) as error:
                if task.done() or loop.is_closed():
                    raise
                log.exception(
                    "Code that ran in a callback wanted to end this process, which goes on: %s", error_repr(error)
                )
    finally:
        _close(loop)


def exit_process_soon(status: int = 0) -> None:
    """End this process soon, also where a thread does not end: Python would wait for it for ever."""
    _timer(TIDY_SECONDS, lambda: None, status).start()


def _end_by_signals(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event, last: Callable[[], None]) -> None:
    """Set the event by a signal, and end the process if it does not end itself.

    The handlers are Python's own, not the loop's: they run also while code blocks the event loop.
    """

    def stop(number: int, _: object) -> None:
        loop.call_soon_threadsafe(stopping.set)
        if not hard.is_alive() and not hard.finished.is_set():
            hard.start()

    def end() -> None:
        log.warning("Not everything here stops within %.0f s of being asked to: this process ends now.", HARD_SECONDS)
        last()

    hard = _timer(HARD_SECONDS, end)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _timer(seconds: float, last: Callable[[], None], status: int = 0) -> threading.Timer:
    def end() -> None:
        try:
            last()
        finally:
            sys.stderr.flush()
            os._exit(status)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    return timer


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        loop = asyncio.new_event_loop()
    else:
        loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    guard_tasks(loop)  # also the tasks of the server itself, which are made before the first saga
    return loop


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel leftover tasks, and close the loop if all of them end."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        _, left = loop.run_until_complete(asyncio.wait(left, timeout=TIDY_SECONDS))
    if left:
        log.warning("These do not end, and are left to themselves: %s", ", ".join(task.get_name() for task in left))
        return
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
