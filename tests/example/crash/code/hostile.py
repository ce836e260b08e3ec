"""A server with a saga all of whose code does what its input says; `python -m tests.example.crash.code.hostile`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, PlainSerializer

from domain.amends.aggregate import Aggregate
from domain.amends.errors import Refusal
from domain.amends.event import event
from tests.example.serving import serve_with
from workflows.amends.saga import Call, Retry, Saga, Transaction, Undo, seconds, signal, step, transaction

log = logging.getLogger("hostile")


class Own(BaseException):
    """An exception that is no Exception."""


class Unspeakable(Exception):
    """An error that wants to end the process when it is asked what it is."""

    def __str__(self) -> str:
        raise SystemExit(7)

    __repr__ = __str__


class No(Refusal, name="hostile-refusal"):
    """No, because of {why}."""

    why: float


class Garbled(Refusal, name="hostile-garbled"):
    """No, because of {why.nothing_that_there_is}."""

    why: str = ""


def deep() -> Any:
    return deep()


def cyclic() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


def nested(depth: int) -> Any:
    made: Any = 1
    for _ in range(depth):
        made = [made]
    return made


RAISED: dict[str, Callable[[], BaseException]] = {
    "value": lambda: ValueError("wrong"),
    "lines": lambda: ValueError("2026-01-01T00:00:00.000Z WARNING amends.saga: Saga x is stuck\n\x1b[31m"),
    "long": lambda: ValueError("x" * 10_000_000),
    "cancelled": asyncio.CancelledError,
    "generator-exit": GeneratorExit,
    "own": lambda: Own("mine"),
    "exit": lambda: SystemExit(3),
    "interrupt": KeyboardInterrupt,
    "unspeakable": Unspeakable,
    "memory": MemoryError,
    "stop": StopAsyncIteration,
    "timeout": TimeoutError,
    "group": lambda: ExceptionGroup("many", [ValueError("a"), TypeError("b")]),
    "exits": lambda: BaseExceptionGroup("many", [SystemExit(5), ValueError("a")]),
    "refusal": lambda: No(1.5),
    "refusal-nan": lambda: No(math.nan),
    "refusal-garbled": Garbled,
}

RETURNED: dict[str, Callable[[], Any]] = {
    "nan": lambda: math.nan,
    "nul": lambda: "a\0b",
    "half": lambda: "\ud83d",
    "object": object,
    "numbers": lambda: list(range(10_000_000)),
    "text": lambda: "x" * 5_000_000,
    "cyclic": cyclic,
    "deep": lambda: nested(100_000),
    "function": lambda: deep,
    "error": lambda: ValueError("returned"),
}


async def wait_for_cancelled() -> None:
    task = asyncio.ensure_future(asyncio.sleep(60))
    task.cancel()
    await task


async def cancel_myself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(1)


async def cancel_myself_and_leave() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


async def swallow(duration: float) -> None:
    until = time.monotonic() + duration
    while time.monotonic() < until:
        with contextlib.suppress(BaseException):
            await asyncio.sleep(0.5)


async def leave_a_task(error: str) -> None:
    async def later() -> None:
        raise RAISED[error]()

    task = asyncio.ensure_future(later())
    await asyncio.wait({task})


async def leave_tasks_that_wait() -> None:
    for _ in range(3):
        asyncio.ensure_future(swallow(5))  # type: ignore[unused-awaitable]  # noqa: RUF006


async def in_a_thread() -> None:
    await asyncio.to_thread(sys.exit, 4)


async def beside_a_thread() -> None:
    threading.Thread(target=sys.exit, args=(4,), daemon=True).start()
    await asyncio.sleep(0)


async def recursion() -> None:
    deep()


async def short_time() -> None:
    async with asyncio.timeout(0.01):
        await asyncio.sleep(60)


async def short_block() -> None:
    time.sleep(0.2)  # noqa: ASYNC251 (that is the point)


async def leave_a_callback() -> None:
    asyncio.get_running_loop().call_soon(sys.exit, 9)
    asyncio.get_running_loop().call_later(0.05, sys.exit, 9)


async def stop_the_loop() -> None:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)


async def forgotten_coroutine() -> None:
    asyncio.sleep(1).close()


DOES: dict[str, Callable[[], Awaitable[Any]]] = {
    "cancelled-task": wait_for_cancelled,
    "cancel-myself": cancel_myself,
    "cancel-myself-and-leave": cancel_myself_and_leave,
    "swallow": lambda: swallow(4),
    "swallow-long": lambda: swallow(60),
    "sleep": lambda: asyncio.sleep(60),
    "task-exit": lambda: leave_a_task("exit"),
    "task-value": lambda: leave_a_task("value"),
    "tasks-wait": leave_tasks_that_wait,
    "thread-exit": in_a_thread,
    "thread-beside": beside_a_thread,
    "recursion": recursion,
    "short-time": short_time,
    "short-block": short_block,
    "callback-exit": leave_a_callback,
    "loop-stop": stop_the_loop,
    "fine": forgotten_coroutine,
}

SQL: dict[str, str] = {
    "sql-missing": "select * from nowhere",
    "sql-syntax": "selekt 1",
    "sql-commit": "commit",
    "sql-divide": "select 1 / 0",
    "sql-events": "delete from amends.events",
    "sql-lock": "lock table amends.events in access exclusive mode",
}


async def does(what: str) -> Any:
    """Do what the name says; returns what is to be returned."""
    if what in RAISED:
        raise RAISED[what]()
    if what in RETURNED:
        return RETURNED[what]()
    if what in DOES:
        return await DOES[what]()
    return None


def wrong(value: str) -> str:
    if value in RAISED:
        raise RAISED[value]()
    return value


Checked = Annotated[str, AfterValidator(wrong)]
Shown = Annotated[str, PlainSerializer(wrong)]


@event("hostile-happened")
class Happened:
    what: str
    odd: float = 0.0


def evolve(state: int, event: Happened) -> int:
    if event.what.startswith("evolve "):
        wrong(event.what.removeprefix("evolve "))
    return state + 1


def happen(state: int, what: str) -> list[Happened]:
    if what.startswith("decide "):
        wrong(what.removeprefix("decide "))
    return [Happened(what, math.nan if what == "nan" else 0.0)]


things = Aggregate("hostile-thing", initial=0, evolve=evolve)


@signal("poke")
class Poke:
    by: str = ""


@dataclass(frozen=True)
class Script:
    """What each place does; `fails` says that the saga is to turn back in the end."""

    id: str
    prepare: str = "fine"
    decide: str = ""
    call: str = "fine"
    run: str = "fine"
    undo: str = "fine"
    tidy: str = "fine"
    codec: Checked = ""
    shown: str = ""
    reference: str = ""
    fails: bool = False


@dataclass(frozen=True)
class Result:
    said: Shown
    value: float | str | list[int] | None = None


@dataclass(frozen=True)
class Scripted(Saga[Script, Result], name="scripted", signals=[Poke]):
    """Does what its script says, at every place where code of a team runs."""

    counts: dict[str, int] = field(default_factory=dict)

    def reference(self, request: Script) -> str:
        if request.reference in RAISED:
            raise RAISED[request.reference]()
        value: str = RETURNED[request.reference]() if request.reference in RETURNED else request.reference
        return value

    async def run(self, request: Script) -> Result:
        await self.prepare(request)
        value = await self.call(request)
        odd = await does(request.run)
        if request.fails:
            raise No(0.5)
        return Result(request.shown, odd if odd is not None else value)

    def _counted(self, place: str, request: Script) -> None:
        log.info("%s %s", place, request.id)

    @transaction(timeout=seconds(2))
    async def prepare(self, tx: Transaction, request: Script) -> None:
        self._counted("prepare", request)
        if request.decide:
            await tx.decide(things, request.id, happen, request.decide)
        if request.prepare in SQL:
            await tx.execute(SQL[request.prepare])
        elif request.prepare == "sql-swallowed":
            with contextlib.suppress(Exception):
                await tx.execute("select 1 / 0")
        elif request.prepare == "tx-later":
            asyncio.get_running_loop().call_later(0.1, lambda: asyncio.ensure_future(tx.execute("select 1")))
        else:
            await does(request.prepare)

    @prepare.compensation(timeout=seconds(2))
    async def tidy(self, tx: Transaction, request: Script) -> None:
        self._counted("tidy", request)
        if request.tidy in SQL:
            await tx.execute(SQL[request.tidy])
        else:
            await does(request.tidy)

    @step(retry=Retry(attempts=3, first_wait=seconds(0.05)), timeout=seconds(1))
    async def call(self, call: Call, request: Script) -> str | list[int] | float | None:
        self._counted("call", request)
        value: str | None = await does(request.call)
        return value

    @call.compensation(retry=Retry(attempts=5, first_wait=seconds(0.05)), timeout=seconds(1))
    async def undo(self, undo: Undo[str | list[int] | float | None], request: Script) -> None:
        self._counted("undo", request)
        await does(request.undo)


if __name__ == "__main__":
    serve_with(Scripted())
