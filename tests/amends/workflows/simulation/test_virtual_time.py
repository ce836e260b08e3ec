"""A simulated process that goes on and on at one instant is found out, however it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from workflows.amends.simulation.cluster.virtual_time import Timeline, TimeStandsStill, VirtualLoop


async def _no_wait() -> None:
    await asyncio.sleep(0)


async def _less_than_a_clock_shows() -> None:
    await asyncio.sleep(1e-18)


@pytest.mark.parametrize("wait", [_no_wait, _less_than_a_clock_shows])
def test_a_process_that_waits_for_nothing_is_found_out(wait: Callable[[], Awaitable[None]]) -> None:
    async def spins() -> None:
        while True:
            await wait()

    timeline = Timeline()
    timeline.skip(10.0)
    loop = VirtualLoop(timeline)
    task = loop.create_task(spins())
    with pytest.raises(TimeStandsStill):
        timeline.run(until=20.0)
    assert not task.done()
    loop.dispose()
