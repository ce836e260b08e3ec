"""Who runs sagas here becomes another executor when its lease was taken away, once all has been given up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

import pytest

from workflows.amends.clocks import Clocks
from workflows.amends.dbos import lease_thread
from workflows.amends.dbos.lease_thread import LeaseThread
from workflows.amends.executor import executor
from workflows.amends.executor.executor import Executor
from workflows.amends.executor.lease import Lease
from workflows.amends.executor.process import this_process
from workflows.amends.ports.execution_log import Suspended
from workflows.amends.ports.saga_store import SagaStore


@dataclass
class Store:
    """As much of a store as an executor needs: `happened` is what it was asked for, in order."""

    happened: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    fails: int = 0

    def renew_lease(self, id: str, seconds: float) -> datetime | None:
        return None if id in self.ended else datetime.now(UTC)

    async def register_executor(
        self, id: str, machine: str, pid: int, process_started_at: float, saga_types: Sequence[str], lease: float
    ) -> datetime:
        if self.fails:
            self.fails -= 1
            raise ConnectionError("not yet")
        self.happened.append(f"register {id}")
        return datetime.now(UTC)

    async def hand_over(self, id: str, running: Sequence[str]) -> int:
        self.happened.append(f"hand over {id}")
        return 0


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not met():
            await asyncio.sleep(0.005)


def made(store: Store, give_up: asyncio.Event, stuck: threading.Event) -> Executor:
    async def given_up() -> None:
        store.happened.append("give up")
        await give_up.wait()

    def keeper(lease: Lease, taken_away: Callable[[], None]) -> LeaseThread:
        return LeaseThread(lease, store.renew_lease, taken_away, stuck.set)

    return Executor(cast(SagaStore, store), 0.5, this_process(), Clocks(), keeper, given_up)


async def test_it_goes_on_under_a_new_name_once_all_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "AGAIN_SECONDS", 0.01)
    store, given_up, stuck, told = Store(), asyncio.Event(), threading.Event(), list[str]()
    it = made(store, given_up, stuck)
    it.became.append(told.append)
    await it.begin(["order:1"])
    first, lease = it.id, it.lease
    store.fails = 2
    store.ended.add(first)
    await until(lambda: store.happened[-1] == "give up")
    assert (it.id, lease.is_held(), lease.gone) == (first, False, True)
    with pytest.raises(Suspended):
        await lease.wait_until_held()
    given_up.set()
    await until(lambda: it.id != first)
    assert told == [it.id]
    assert it.lease.is_held()
    assert not lease.is_held(), "what ran under the first one gets no other"
    last = [f"hand over {first}"] * 3 + [f"register {it.id}"]
    assert store.happened == [f"register {first}", "give up", *last]
    it.stop()
    assert not stuck.is_set()


async def test_it_says_that_something_does_not_end_although_the_event_loop_stands_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lease_thread, "GIVE_UP_SECONDS", 0.2)
    store, stuck = Store(), threading.Event()
    it = made(store, asyncio.Event(), stuck)
    await it.begin(["order:1"])
    first = it.id
    store.ended.add(first)
    await until(lambda: it.lease.gone)
    assert stuck.wait(10), "a thread says so, while nothing else runs"
    assert it.id == first
    it.stop()
