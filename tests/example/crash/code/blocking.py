"""A server with a saga that blocks the event loop, as its input says; `python -m tests.example.crash.code.blocking`."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass

from app.amends.server import lifetime
from tests.example.serving import serve_with
from workflows.amends.saga import Call, Retry, Saga, Undo, seconds, step


@dataclass(frozen=True)
class Wanted:
    """How the saga blocks, for how many seconds, and how often at most.

    `where` is step, twice (in a row), run, thread (beside the event loop), or first: then the step takes its time.
    """

    how: str
    seconds: float
    times: int = 100
    where: str = "step"


@dataclass(frozen=True)
class Blocking(Saga[Wanted, str], name="blocking"):
    """Blocks the event loop."""

    async def run(self, request: Wanted) -> str:
        await self.begin()
        if request.where == "run":
            block(request)
        await self.call(request)
        if request.where == "twice":
            await self.call(request)
            await self.begin()
        return "done"

    @step(compensation=None)
    async def begin(self, call: Call) -> None:
        await asyncio.sleep(0)

    @step(retry=Retry(attempts=2), timeout=seconds(60))
    async def call(self, call: Call, request: Wanted) -> None:
        if request.where in ("step", "twice"):
            block(request)
        if request.where == "first":
            block(request)
            await asyncio.sleep(600)
        if request.where == "thread":
            await asyncio.to_thread(block, request)

    @call.compensation
    async def undo(self, undo: Undo[None], request: Wanted) -> None:
        return None


@dataclass(frozen=True)
class Swallowing(Saga[Wanted, str], name="swallowing"):
    """Does not let itself be cancelled."""

    async def run(self, request: Wanted) -> str:
        await self.call(request)
        return "done"

    @step(compensation=None, timeout=seconds(600))
    async def call(self, call: Call, request: Wanted) -> None:
        until = time.monotonic() + request.seconds
        while time.monotonic() < until:
            try:
                if request.how == "thread":
                    await asyncio.to_thread(time.sleep, request.seconds)
                await asyncio.sleep(0.2)
            except asyncio.CancelledError:
                continue


@dataclass(frozen=True)
class Working(Saga[Wanted, str], name="working"):
    """Works on the event loop in pieces that are short enough for everybody."""

    async def run(self, request: Wanted) -> str:
        await self.call(request)
        return "done"

    @step(compensation=None, timeout=seconds(600))
    async def call(self, call: Call, request: Wanted) -> None:
        over = time.monotonic() + request.seconds
        while time.monotonic() < over:
            until = time.monotonic() + 0.02
            while time.monotonic() < until:
                pass
            await asyncio.sleep(0.002)


COUNTED: dict[str, int] = {}


def block(wanted: Wanted) -> None:
    """Keep the event loop from answering."""
    COUNTED[wanted.how] = COUNTED.get(wanted.how, 0) + 1
    if COUNTED[wanted.how] > wanted.times:
        return
    if wanted.how == "sleep":
        time.sleep(wanted.seconds)
    elif wanted.how == "busy":
        with suppress(PermissionError):
            os.nice(-6)  # who does not get the processor is not to blame: on a busy machine too this one gets it
        until = time.monotonic() + wanted.seconds
        while time.monotonic() < until:
            pass
    elif wanted.how == "gil":  # nothing else of Python runs meanwhile
        until = time.monotonic() + wanted.seconds
        while (left := until - time.monotonic()) > 0:
            ctypes.PyDLL(None).usleep(int(min(left, 0.9) * 1e6))
    elif wanted.how == "hold":  # as a long regular expression does it, but for a known time
        with suppress(PermissionError):
            os.nice(-6)
        next(filter((time.monotonic() + wanted.seconds).__lt__, iter(time.monotonic, None)))
    elif wanted.how == "regex":
        re.match(r"(a+)+$", "a" * 64 + "b")
    elif wanted.how == "die":
        os._exit(9)


if __name__ == "__main__":
    if "HARD_SECONDS" in os.environ:  # how long a server may take to stop
        vars(lifetime)["HARD_SECONDS"] = float(os.environ["HARD_SECONDS"])
    serve_with(Blocking(), Swallowing(), Working())
