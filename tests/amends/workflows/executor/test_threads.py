"""Threads that code of sagas asks for are its own: it takes them from nobody else."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from workflows.amends.dbos.threads import LoopThreads
from workflows.amends.engine.user_code.tasks import CodeScope, scope


def of_saga(step: str | None = "call") -> None:
    """From here on this is code of a saga."""
    scope.set(CodeScope("s-1", "selling:1", step, lambda _: None, b""))


@asynccontextmanager
async def threads(of_sagas: int) -> AsyncIterator[threading.Event]:
    """The running event loop has so many threads for code of sagas; the event lets those go that block."""
    loop, over = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(LoopThreads(loop, 1, of_sagas))
    try:
        yield over
    finally:
        over.set()


async def thread_name(in_saga: bool) -> str:
    async def ask() -> str:
        if in_saga:
            of_saga()
        return await asyncio.to_thread(lambda: threading.current_thread().name)

    return await asyncio.create_task(ask())


async def test_a_thread_says_by_its_name_whose_it_is() -> None:
    async with threads(1):
        assert (await thread_name(in_saga=True)).startswith("code-of-sagas")
        assert (await thread_name(in_saga=False)).startswith("threads")


async def test_sagas_that_take_all_their_threads_take_none_of_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("workflows.amends.dbos.threads.PATIENCE_SECONDS", 0.01)
    async with threads(2) as over:

        async def block() -> None:
            of_saga()
            await asyncio.to_thread(over.wait)

        with caplog.at_level(logging.WARNING, "amends.saga"):
            blocked = [asyncio.create_task(block()) for _ in range(5)]
            async with asyncio.timeout(10):
                while not caplog.records:
                    await asyncio.sleep(0.005)
            assert await thread_name(in_saga=False), "everything else goes on"
            over.set()
            await asyncio.gather(*blocked)
        (said,) = caplog.messages
        assert said.startswith("Step call of saga s-1 (selling:1) waits for a thread")


async def test_an_event_loop_ends_without_the_threads_of_sagas() -> None:
    loop, over = asyncio.get_running_loop(), threading.Event()
    made = LoopThreads(loop, 1, 1)
    begun = threading.Event()

    def wait() -> None:
        begun.set()
        over.wait()

    async def block() -> None:
        of_saga()
        made.submit(wait)

    await asyncio.create_task(block())
    assert begun.wait(10)
    made.shutdown(wait=True)
    over.set()
