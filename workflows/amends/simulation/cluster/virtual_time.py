"""Time that jumps to the next thing that happens, and event loops that live in it: one for each simulated process."""

from __future__ import annotations

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

from workflows.amends.engine.user_code.tasks import drop_coroutine

Ts = TypeVarTuple("Ts")
T = TypeVar("T")

SPINS: Final = 20_000
"""So much that happens at one instant is a loop that waits for nothing."""


class TimeStandsStill(Exception):
    """A process goes on and on without any time passing."""


class Timeline:
    """What happens when. `now` is in seconds; what happens at one instant happens in the order in which it was said."""

    def __init__(self) -> None:
        self.now = 0.0
        self.count = 0
        """How many callbacks have run."""
        self._due: list[tuple[float, int, Callable[..., object], Any]] = []
        self._number = 0
        self._ready: deque[VirtualLoop] = deque()

    def at(self, when: float, happens: Callable[[Unpack[Ts]], object], *args: *Ts) -> None:
        """Let something happen at an instant; at once if that is over."""
        self._number += 1
        heapq.heappush(self._due, (when if when > self.now else self.now, self._number, happens, args))

    def after(self, seconds: float, happens: Callable[[Unpack[Ts]], object], *args: *Ts) -> None:
        """Let something happen in so many seconds."""
        self._number += 1
        heapq.heappush(self._due, (self.now + seconds, self._number, happens, args))

    def skip(self, seconds: float) -> None:
        """Let so many seconds pass in which nobody does anything."""
        self.now += seconds

    def is_ready(self, loop: VirtualLoop) -> None:
        """A loop has something to do now."""
        self._ready.append(loop)

    def run(self, until: float, met: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass until a condition is met, which is looked at before each instant; False if it never is."""
        at_once = 0
        while True:
            while self._ready:
                self._ready.popleft().run_ready()
            if met():
                return True
            if not self._due or self._due[0][0] > until:
                self.now = max(self.now, until)
                return False
            when, _, happens, args = heapq.heappop(self._due)
            at_once += 1
            if when > self.now:
                self.now, at_once = when, 0
            if at_once > SPINS:
                raise TimeStandsStill(f"{happens!r} at {self.now}")
            happens(*args)


class ScheduledCallback(asyncio.TimerHandle):
    """A callback and when it is due; asyncio's own looks each time whether somebody debugs it."""

    __slots__ = ()

    def __init__(self, when: float, callback: Any, args: Any, loop: VirtualLoop, context: Context | None) -> None:
        self._context = copy_context() if context is None else context
        self._loop, self._callback, self._args, self._when = loop, callback, args, when
        self._cancelled, self._scheduled, self._repr, self._source_traceback = False, False, None, None

    def cancel(self) -> None:
        self._cancelled = True
        self._callback, self._args = None, ()

    def _run(self) -> None:
        callback: Any = self._callback
        try:
            self._context.run(callback, *self._args)
        except Exception as error:
            self._loop.call_exception_handler({"message": "a callback failed", "exception": error})


class VirtualLoop(asyncio.BaseEventLoop):
    """The event loop of one process. It can be paused, as by SIGSTOP, and killed: then nothing of it ever runs again.

    Its clock runs at `rate` and is ahead by `offset` seconds. Only what has to do with tasks, futures and timers is
    there: a simulated process has no other input or output.
    """

    def __init__(self, timeline: Timeline, rate: float = 1.0, offset: float = 0.0) -> None:
        self.paused = self.dead = False
        super().__init__()
        self.timeline, self._rate, self._offset = timeline, rate, offset
        self._calls: deque[ScheduledCallback] = deque()
        self._factory: Any = None
        self._announced = False
        self.errors: list[dict[str, Any]] = []
        """What asyncio would have complained of."""

    # -- what a process does not know of

    def run_ready(self) -> None:
        """Run what is ready, and what becomes ready by that, until there is nothing more at this instant."""
        self._announced = False
        before = events._get_running_loop()
        events._set_running_loop(self)
        count = 0
        try:
            while self._calls and not (self.paused or self.dead):
                handle = self._calls.popleft()
                if not handle._cancelled:
                    handle._run()
                    count += 1
                    if count > SPINS:
                        raise TimeStandsStill(f"{handle!r}")
        finally:
            self.timeline.count += count
            events._set_running_loop(before)

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        """Go on: what has become due meanwhile comes first."""
        self.paused = False
        self._announce()

    def kill(self) -> None:
        """End at once."""
        self.dead = True
        self._calls.clear()

    def dispose(self) -> None:
        """Close what is left of its tasks where they wait, so that nobody complains of them later."""
        self.kill()
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine = task.get_coro()
            if isinstance(coroutine, Coroutine):
                drop_coroutine(coroutine)
        self._calls.clear()

    def _announce(self) -> None:
        if self._calls and not (self._announced or self.paused or self.dead):
            self._announced = True
            self.timeline.is_ready(self)

    def _ripe(self, handle: ScheduledCallback) -> None:
        if not (handle._cancelled or self.dead):
            self._calls.append(handle)
            self._announce()

    # -- what asyncio asks of a loop

    def time(self) -> float:
        return self._offset + self.timeline.now * self._rate

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = ScheduledCallback(0.0, callback, args, self, context)
        self._calls.append(handle)
        if not self._announced:
            self._announce()
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = ScheduledCallback(when, callback, args, self, context)
        self.timeline.at((when - self._offset) / self._rate, self._ripe, timer)
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A timer that was cancelled is found to be when it is due."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: object = None, context: Context | None = None) -> asyncio.Task[Any]:
        if self._factory is None:
            task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, context=context)
        else:
            task = self._factory(self, coro, context=context)
        if name is not None:
            task.set_name(name)
        return task

    def set_task_factory(self, factory: Any) -> None:
        self._factory = factory

    def get_task_factory(self) -> Any:
        return self._factory

    def run_in_executor(self, executor: Any, func: Callable[[Unpack[Ts]], T], *args: *Ts) -> asyncio.Future[T]:
        """There are no threads: it is done at once."""
        made: asyncio.Future[T] = self.create_future()
        try:
            made.set_result(func(*args))
        except Exception as error:
            made.set_exception(error)
        return made

    def is_running(self) -> bool:
        return not self.dead

    def is_closed(self) -> bool:
        return self.dead

    def get_debug(self) -> bool:
        return False

    def set_debug(self, enabled: bool) -> None:
        """There is no debug mode."""

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.dead:  # nobody looks after the tasks of a process that was killed
            self.errors.append(context)

    call_exception_handler = default_exception_handler


def run_at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        result: T = ended.value
        return result
    coroutine.close()
    raise AssertionError(f"{coroutine!r} waits for something")
