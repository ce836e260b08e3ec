"""Tasks are ended for certain, and wait to be nudged."""

from __future__ import annotations

import asyncio

import pytest

from workflows.amends import background as tasks
from workflows.amends.background import cancel_tasks, wait_until_set


async def test_a_task_that_forgets_a_cancel_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "AGAIN_SECONDS", 0.01)
    forgotten = 0

    async def forgetful() -> None:
        nonlocal forgotten
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                forgotten += 1
                if forgotten == 3:
                    raise

    task = asyncio.create_task(forgetful())
    await asyncio.sleep(0)
    await cancel_tasks(task, None)
    assert (task.cancelled(), forgotten) == (True, 3)


async def test_tasks_that_have_failed_or_ended_are_ended() -> None:
    async def failing() -> None:
        raise ValueError

    tasks = [asyncio.create_task(failing()), asyncio.create_task(asyncio.sleep(0))]
    await asyncio.wait(tasks)
    await cancel_tasks(*tasks)
    await cancel_tasks()


async def test_a_nudge_ends_a_wait_and_so_does_its_time() -> None:
    event = asyncio.Event()
    assert not await wait_until_set(event, 0.01)
    event.set()
    assert await wait_until_set(event, 10)
