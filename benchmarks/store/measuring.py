"""How much is done in a second, how long each piece takes, and what it costs in Python."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

WARM_SECONDS, SECONDS = 0.3, 1.0

Figures = dict[str, float]


def figures(took: list[float], seconds: float, cpu: float) -> Figures:
    """What `took` so many seconds each, all of it in `seconds`, with `cpu` seconds of this process."""
    ordered = sorted(took)
    return {
        "per_second": len(took) / seconds,
        "p50_ms": statistics.median(ordered) * 1000,
        "p95_ms": ordered[int(len(ordered) * 0.95)] * 1000,
        "cpu_ms": cpu / len(took) * 1000,
    }


async def tasks(work: Callable[[int], Awaitable[object]], number: int) -> Figures:
    """Tasks that each do their work again and again: each is given its number from 0."""

    async def repeat(mine: int, until: float) -> list[float]:
        took: list[float] = []
        while not took or time.perf_counter() < until:
            began = time.perf_counter()
            await work(mine)
            took.append(time.perf_counter() - began)
        return took

    async def together(seconds: float) -> list[float]:
        until = time.perf_counter() + seconds
        return [each for took in await asyncio.gather(*(repeat(n, until) for n in range(number))) for each in took]

    await together(WARM_SECONDS)
    began, cpu = time.perf_counter(), time.process_time()
    took = await together(SECONDS)
    return figures(took, time.perf_counter() - began, time.process_time() - cpu)


def threads(work: Callable[[int], object], number: int) -> Figures:
    """The same with threads, for libraries that block."""

    def repeat(mine: int, until: float) -> list[float]:
        took: list[float] = []
        while not took or time.perf_counter() < until:
            began = time.perf_counter()
            work(mine)
            took.append(time.perf_counter() - began)
        return took

    with ThreadPoolExecutor(number) as executor:

        def together(seconds: float) -> list[float]:
            until = time.perf_counter() + seconds
            return [each for took in executor.map(lambda n: repeat(n, until), range(number)) for each in took]

        together(WARM_SECONDS)
        began, cpu = time.perf_counter(), time.process_time()
        took = together(SECONDS)
        return figures(took, time.perf_counter() - began, time.process_time() - cpu)


class Watch:
    """Measures what happens inside its `with` blocks, one after the other, and nothing in between."""

    def __init__(self) -> None:
        self._took: list[float] = []
        self._cpu = self._began = self._began_cpu = 0.0

    def __enter__(self) -> Self:
        self._began, self._began_cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._took.append(time.perf_counter() - self._began)
        self._cpu += time.process_time() - self._began_cpu

    def figures(self) -> Figures:
        return figures(self._took, sum(self._took), self._cpu)
