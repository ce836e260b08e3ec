"""Who is taken for dead, and when; and how long a lease holds."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import psutil
import pytest

from workflows.amends.clocks import clock
from workflows.amends.dbos.lease_thread import LeaseThread
from workflows.amends.executor.clock import DatabaseClock
from workflows.amends.executor.lease import Lease
from workflows.amends.executor.process import is_dead, machine_id, process_started_at, this_process
from workflows.amends.executor.supervisor import CLAIM, Supervisor
from workflows.amends.ports.executors import OtherExecutor
from workflows.amends.ports.saga_store import ClaimedSaga, SagaStore

HERE = machine_id()


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not met():
            await asyncio.sleep(0.005)


def dead_process() -> tuple[int, float]:
    """The number and birth of a process that does not exist any more."""
    process = subprocess.Popen(["sleep", "60"])
    known = process.pid, process_started_at(process.pid)
    process.kill()
    process.wait()
    return known


def test_a_process_that_does_not_exist_is_gone() -> None:
    pid, birth = dead_process()
    assert is_dead(OtherExecutor("x", HERE, pid, birth, False), HERE)


def test_a_process_that_lives_is_not_gone() -> None:
    assert not is_dead(OtherExecutor("x", HERE, os.getpid(), process_started_at(os.getpid()), True), HERE)


def test_another_process_under_the_same_number_is_not_the_same_one() -> None:
    assert is_dead(OtherExecutor("x", HERE, os.getpid(), process_started_at(os.getpid()) - 1000, False), HERE)


@pytest.mark.skipif(not psutil.LINUX, reason="elsewhere the start of a process is told by the clock")
def test_a_clock_that_is_set_makes_nobody_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start is told by the clock that counts from the boot, which nobody can set."""
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")
    assert 0 < process_started_at(os.getpid()) <= since_boot


@pytest.mark.skipif(not psutil.LINUX, reason="elsewhere the start of a process is told by the clock")
def test_servers_of_the_version_that_told_births_by_the_clock_are_on_another_machine() -> None:
    boot, _, _ = HERE.partition(":")
    old = f"{boot}:{os.stat('/proc/self/ns/pid').st_ino}"
    assert machine_id() != old
    assert not is_dead(OtherExecutor("x", old, os.getpid(), psutil.Process().create_time(), False), HERE)


def test_nothing_is_known_of_another_machines_processes() -> None:
    pid, birth = dead_process()
    assert not is_dead(OtherExecutor("x", "another boot", pid, birth, True), HERE)


@dataclass
class FakeStore:
    """As much of a store as a supervisor needs."""

    others: list[OtherExecutor] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    queue: list[ClaimedSaga] = field(default_factory=list)
    looks: int = 0

    async def other_executors(self, executor: str) -> list[OtherExecutor]:
        self.looks += 1
        return self.others

    async def end_executors(self, executors: list[str], by: str, died: bool) -> int:
        assert died
        self.ended += executors
        self.others = [other for other in self.others if other.id not in executors]
        return 1

    async def claim(self, executor: str, owner: str, saga_types: list[str], limit: int) -> list[ClaimedSaga]:
        taken, self.queue = self.queue[:limit], self.queue[limit:]
        return taken

    async def requeue_lost_ends(self) -> int:
        return 0

    async def release_orphans(self) -> int:
        return 0

    async def cancel_requests(self, executor: str) -> list[tuple[str, str]]:
        return []

    async def enqueue_due(self, limit: int) -> int:
        return 0

    async def recorded_running(self, executor: str) -> list[tuple[str, str]]:
        return []

    async def queued_without_code(self) -> list[tuple[str, str, int]]:
        return []

    async def ended_abnormally(self) -> list[tuple[str, str, int, str]]:
        return []


@dataclass
class FakeLease:
    seconds: float = 5.0
    wait_until_held: float = 0.0
    executor: str = "me"

    def seconds_held(self) -> float:
        return self.wait_until_held


@dataclass
class FakeWorker:
    executor: str = "me"
    saga_types: list[str] = field(default_factory=list)
    ready: bool = True
    places: int = 3
    running: dict[tuple[str, str], Any] = field(default_factory=dict)
    lease: FakeLease = field(default_factory=FakeLease)

    @property
    def free_places(self) -> int:
        return self.places - len(self.running)

    async def run(self, claimed: ClaimedSaga, owner: str, lease: Lease) -> None:
        self.running[claimed.id, owner] = None


def supervisor(store: FakeStore, worker: FakeWorker, lease: FakeLease) -> Supervisor:
    worker.lease = lease
    return Supervisor(cast(Any, worker), cast(SagaStore, store), this_process().is_gone)


async def looked(store: FakeStore, worker: FakeWorker, lease: FakeLease) -> None:
    """Let a supervisor look twice."""
    watching = supervisor(store, worker, lease)
    watching.start()
    seen = store.looks
    await until(lambda: store.looks >= seen + 1)
    watching.request_queue_check()
    await until(lambda: store.looks >= seen + 2)
    await watching.stop()


EXPIRED = OtherExecutor("late", "another machine", 1, 0.0, True)


async def test_after_an_outage_everybody_gets_the_time_to_renew() -> None:
    store = FakeStore([EXPIRED])
    await looked(store, FakeWorker(), FakeLease(wait_until_held=4.9))
    assert store.ended == []


async def test_an_executor_whose_lease_is_over_is_ended_by_one_that_held_its_own() -> None:
    store = FakeStore([EXPIRED, OtherExecutor("fine", "another machine", 2, 0.0, False)])
    await looked(store, FakeWorker(), FakeLease(wait_until_held=5.1))
    assert store.ended == ["late"]


async def test_a_process_that_is_gone_is_ended_at_once() -> None:
    store = FakeStore([OtherExecutor("gone", HERE, *dead_process(), False)])
    await looked(store, FakeWorker(), FakeLease(wait_until_held=0))
    assert store.ended == ["gone"]


async def test_no_more_is_claimed_than_there_is_room_for() -> None:
    store = FakeStore(queue=[ClaimedSaga(str(number), "x", "{}") for number in range(9)])
    worker = FakeWorker()
    await looked(store, worker, FakeLease())
    assert len(worker.running) == 3
    assert len(store.queue) == 6


async def test_what_was_claimed_comes_to_its_end_before_more_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.amends.executor.supervisor.LOOK_SECONDS", 60)
    store = FakeStore(queue=[ClaimedSaga(str(number), "x", "{}") for number in range(200)])
    worker = FakeWorker(places=1000)
    watching = supervisor(store, worker, FakeLease())
    watching.start()
    await until(lambda: len(worker.running) == CLAIM)
    for ended in range(1, CLAIM // 2 + 1):
        assert len(store.queue) == 200 - CLAIM, f"{ended} of them have ended"
        worker.running.popitem()
        watching.note_saga_ended()
    await until(lambda: len(store.queue) == 200 - CLAIM - CLAIM // 2)
    assert len(worker.running) == CLAIM, "as many as have ended"
    await watching.stop()


async def test_nothing_is_claimed_while_the_executor_is_not_ready() -> None:
    store = FakeStore(queue=[ClaimedSaga("1", "x", "{}")])
    await looked(store, FakeWorker(ready=False), FakeLease())
    assert len(store.queue) == 1


class Beat:
    """A database that answers as it is told: with its time or, where the lease was taken away, not; or not at all."""

    def __init__(self) -> None:
        self.answer: bool | Exception = True
        self.beats = 0

    def __call__(self, executor: str = "me", seconds: float = 5.0) -> datetime | None:
        self.beats += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return datetime.now(UTC) if self.answer else None


def kept(
    seconds: float, beat: Callable[[str, float], datetime | None], lost: Callable[[], None]
) -> tuple[Lease, LeaseThread]:
    """A lease that was just given, and what renews it."""
    lease = Lease("me", seconds, DatabaseClock(), clock)
    lease.note_granted(clock(), datetime.now(UTC))
    return lease, LeaseThread(lease, beat, lost, lambda: None)


async def test_a_lease_is_renewed_while_the_loop_answers() -> None:
    beat, lost = Beat(), threading.Event()
    lease, keeper = kept(2.0, beat, lost.set)
    keeper.start()
    await until(lambda: beat.beats >= 2 and lease.seconds_held() > 0.5)
    assert lease.is_held()
    keeper.stop()
    assert not lost.is_set()


async def test_a_lease_ends_by_its_own_clock_when_nobody_answers() -> None:
    beat, lost = Beat(), threading.Event()
    lease, keeper = kept(0.3, beat, lost.set)
    beat.answer = ConnectionError("the database is away")
    keeper.start()
    await until(lambda: not lease.is_held())
    assert lease.seconds_held() == 0
    without, beat.answer = clock(), True
    await asyncio.wait_for(lease.wait_until_held(), 5)
    assert lease.seconds_held() < clock() - without, "the time without it does not count"
    keeper.stop()
    assert not lost.is_set()


async def test_a_lease_that_was_taken_away_is_said_once() -> None:
    beat, lost = Beat(), []
    _, keeper = kept(0.2, beat, lambda: lost.append("lost"))
    beat.answer = False
    keeper.start()
    await until(lambda: lost == ["lost"])
    keeper.note_nothing_runs()
    await until(lambda: not keeper.is_alive())
    assert beat.beats == 1


async def test_a_beat_that_failed_or_was_slow_is_followed_by_the_next_one_at_once() -> None:
    """Else a switchover of the database that is shorter than the lease would cost it."""
    lease = Lease("me", 5.0, DatabaseClock(), clock)
    assert [lease.wait_after(took) for took in (0.0, 0.5, 1.0, 2.4)] == [1.0, 0.5, 0.0, 0.0]
    lease.problem = "the database is away"
    assert all(lease.wait_after(took) == 0.25 for took in (0.0, 0.5, 1.0, 2.4))


async def test_a_database_that_is_slow_does_not_count_against_the_event_loop(caplog: pytest.LogCaptureFixture) -> None:
    """Each beat takes longer than the loop may be silent for."""
    slow, beat = threading.Event(), Beat()

    def beats(executor: str, seconds: float) -> datetime | None:
        slow.wait(0.3)
        return beat()

    lease, keeper = kept(0.5, beats, lambda: None)
    with caplog.at_level("INFO", "amends.lease"):
        keeper.start()
        await until(lambda: beat.beats >= 5)
    keeper.stop()
    slow.set()
    assert lease.problem is None
    assert "has not answered" not in caplog.text


async def test_why_a_lease_is_not_renewed_is_known_until_it_is(caplog: pytest.LogCaptureFixture) -> None:
    beat = Beat()
    beat.answer = ConnectionError("the database\n is away")
    lease, keeper = kept(0.5, beat, lambda: None)
    keeper.start()
    await until(lambda: lease.problem == "the database is away")
    await until(lambda: beat.beats > 5)
    beat.answer = True
    await until(lambda: lease.problem is None)
    keeper.stop()
    assert 1 <= caplog.text.count("could not be renewed: the database is away") <= beat.beats // 2


async def test_a_blocked_loop_lets_its_lease_run_out() -> None:
    beat, lost = Beat(), threading.Event()
    lease, keeper = kept(0.4, beat, lost.set)
    keeper.start()
    await until(lambda: beat.beats >= 1)
    deadline = clock() + 1.2
    while clock() < deadline:
        pass
    assert not lease.is_held()
    keeper.stop()
    await until(lambda: not keeper.is_alive())


def test_what_identifies_an_executor_does_not_change() -> None:
    assert machine_id() == machine_id()
    assert abs(process_started_at(os.getpid()) - process_started_at(os.getpid())) < 1
