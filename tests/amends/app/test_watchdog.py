"""What the watchdog says and does of what it sees: whose fault a block is, and what is put on record of it."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from app.amends.watchdog.block_record import BlockRecord
from app.amends.watchdog.output import saga_names
from app.amends.watchdog.stacks import StackWriter, split_stacks
from app.amends.watchdog.stop_signals import StopRequests, StopSignals
from app.amends.watchdog.threads import ProcessThreads
from app.amends.watchdog.watch import LoopBlock, LoopWatch
from workflows.amends.engine.user_code.running_code import code_label

WHO = code_label("s-1", "selling:1", "charge")


def threads(at: float, state: str = "S", pauses: int = 0, mine: float = 0.0, other: float = 0.0) -> ProcessThreads:
    return ProcessThreads(at, 7, state, {7: mine, 8: other, 9: 0.0}, pauses)


def block(now: ProcessThreads, looks: int = 8, asleep: int = 8) -> LoopBlock:
    return LoopBlock(0.0, WHO, threads(0.0), now, looks, asleep, "its stack", "the other stack")


@pytest.mark.parametrize(
    ("now", "asleep", "held", "fault"),
    [
        pytest.param(threads(4.0), 8, False, True, id="it sleeps"),
        pytest.param(threads(4.0, "R", 3, mine=3.9), 0, False, True, id="it computes"),
        pytest.param(threads(4.0, "R", 3, mine=0.5), 0, False, False, id="the machine has no time for it"),
        pytest.param(threads(4.0, "S", 800, 0.02, 3.9), 8, True, False, id="another thread holds Python"),
        pytest.param(threads(4.0, "S", 300, 0.02, 1.5), 8, True, False, id="the same on a busy machine"),
        pytest.param(threads(4.0, "S", 2, 0.0, 3.9), 8, False, True, id="it sleeps while another thread computes"),
        pytest.param(threads(4.0, "R", 800, 2.0, 2.0), 4, False, True, id="both compute in turns"),
    ],
)
def test_whose_fault_it_is(now: ProcessThreads, asleep: int, held: bool, fault: bool) -> None:
    seen = block(now, asleep=asleep)
    assert (seen.is_held, seen.is_its_fault(4.0)) == (held, fault)
    told = seen.report(4.0)
    assert told["saga"] == (None if held else "s-1")
    assert told["stack"] == ("the other stack" if held else "its stack")


def test_a_processs_threads_are_read_from_linux() -> None:
    me, over = os.getpid(), threading.Event()
    before = ProcessThreads.of(me, 0.0, all=True)
    other = threading.Thread(target=over.wait)
    other.start()
    threading.Event().wait(0.01)
    after, alone = ProcessThreads.of(me, 1.0, all=True), ProcessThreads.of(me, 1.0, all=False)
    assert set(after.cpu) - set(before.cpu) == {other.native_id}
    assert set(alone.cpu) == {me}
    assert alone.state == after.state == "R"
    assert after.pauses > before.pauses
    assert after.cpu_seconds(before) >= 0
    over.set()
    other.join()
    assert ProcessThreads.of(2**22 + 1, 1.0, all=True) == ProcessThreads(1.0, 2**22 + 1), "a process that there is not"


class FakeDatabase(BlockRecord):
    """A record whose database answers as it is told."""

    def __init__(self, **given: Any) -> None:
        super().__init__({"executor": "e-1", "event": {}} | given)
        self.answers = True
        self.asked: list[tuple[str | None, bool]] = []

    def connect(self) -> None:
        return None

    def _run(self, statement: str, parameters: tuple[Any, ...]) -> Any:
        if not self.answers:
            return None
        if "note_blocked" in statement:
            _, text, final = parameters
            self.asked.append((text and json.loads(text)["saga"], final))
            return (True,)
        return (False,)


@contextmanager
def watching(record: FakeDatabase) -> Iterator[LoopWatch]:
    """A watch with files of its own; it looks at this process, which it would have to end, and is never asked to."""
    with tempfile.TemporaryFile() as memory, StackWriter() as stacks, signals() as stops:
        memory.truncate(4096)
        files = {"memory": memory.fileno()} | stacks.files | stops
        given: dict[str, Any] = {"pid": os.getpid(), "lease": 5.0, "thread": 0, "hard": 18}
        watch = LoopWatch(given | files, cast(BlockRecord, record))
        yield watch
        watch.stops.close()


@contextmanager
def signals() -> Iterator[dict[str, int]]:
    """Where signals that ask to stop would be noted."""
    heard, woken = socket.socketpair()
    with tempfile.TemporaryFile() as file, woken:
        yield {"stops": file.fileno(), "signals": heard.detach()}


def test_a_block_is_put_on_record_when_the_database_answers_again(capsys: pytest.CaptureFixture[str]) -> None:
    record = FakeDatabase()
    record.answers = False
    with watching(record) as watch:
        seen = block(threads(6.0))
        watch.watch_ongoing_block(seen, threads(6.0), 6.0)
        assert seen.said
        assert not seen.recorded
        watch.report_end(seen, 6.5)
        assert record.asked == []
        record.answers = True
        record.write_pending()
        record.write_pending()
        assert record.asked == [("s-1", True)], "once"
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["what"] for each in told] == ["ended", "recorded"]


def test_a_note_that_could_not_be_taken_back_is_taken_back_later(capsys: pytest.CaptureFixture[str]) -> None:
    record = FakeDatabase()
    with watching(record) as watch:
        seen = block(threads(4.0))
        watch.watch_ongoing_block(seen, threads(4.0), 4.0)
        assert record.asked == [("s-1", False)]
        record.answers = False
        watch.report_end(seen, 4.5)
        record.answers = True
        record.write_pending()
        record.write_pending()
        assert record.asked == [("s-1", False), (None, False)]


def test_a_note_is_taken_back_where_it_turns_out_that_another_thread_held_python() -> None:
    record = FakeDatabase()
    with watching(record) as watch:
        seen = block(threads(4.0))
        watch.watch_ongoing_block(seen, threads(4.0), 4.0)
        watch.watch_ongoing_block(seen, threads(4.5, "S", 900, 0.0, 4.4), 4.5)
        assert record.asked == [("s-1", False), (None, False)]
        watch.watch_ongoing_block(seen, threads(6.0, "S", 900, 0.0, 4.4), 6.0)
        assert not seen.recorded


READER = """
import json, sys
from app.amends.watchdog.stacks import StackReader
reader = StackReader(json.loads(sys.argv[1]))
print(json.dumps([reader.ask() for _ in range(int(sys.argv[2]))]))
"""
PROGRAM = f"""
import json, os, signal, subprocess, sys
from app.amends.watchdog.stacks import StackWriter
def computes():
    signal.signal(signal.SIGUSR2, signal.SIG_DFL)  # a signal in the middle of a call would end it, sooner or later
    while True:
        sum(map(lambda each: each + 1, [1]))
def holds_python():
    max(range(10**12))
with StackWriter() as stacks:
    given = json.dumps(stacks.files | {{"pid": os.getpid(), "lease": 5.0}})
    files = tuple(stacks.files.values())
    subprocess.Popen([sys.executable, "-c", {READER!r}, given, sys.argv[2]], pass_fds=files)
    globals()[sys.argv[1]]()
"""


@pytest.mark.parametrize(("how", "times"), [("computes", 20), ("holds_python", 1)])
def test_stacks_are_written_where_no_thread_is_in_the_middle_of_a_call(how: str, times: int) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM, how, str(times)], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        told = json.loads(program.stdout.readline())
        assert [f"in {how}" in each for each in told] == [True] * times
        assert program.poll() is None
        program.kill()


async def test_a_signal_to_stop_is_noted_whether_the_loop_reads_it_or_not() -> None:
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    others, wakes = socket.socketpair()
    with others, wakes:
        wakes.setblocking(False)
        kept = signal.set_wakeup_fd(wakes.fileno())
        try:
            with StopSignals() as stops:
                notes = StopRequests({name: os.dup(fd) for name, fd in stops.files.items()})
                assert not notes.was_asked()
                signal.raise_signal(signal.SIGTERM)
                assert notes.was_asked(), "the loop has not come round"
                async with asyncio.timeout(10):
                    await asyncio.get_running_loop().run_in_executor(None, select.select, [others], [], [])
                assert others.recv(10) == bytes([signal.SIGTERM]), "whoever had the signals before gets them too"
                assert notes.was_asked(), "and now it has"
                notes.close()
            assert signal.set_wakeup_fd(wakes.fileno()) == wakes.fileno(), "they are given back"
        finally:
            signal.set_wakeup_fd(kept)
            signal.signal(signal.SIGTERM, before)


def test_of_all_stacks_the_event_loops_and_those_of_threads_that_work_are_told() -> None:
    written = (
        'Thread 0x000000000000aaaa (most recent call first):\n  File "/lib/re/__init__.py", line 166 in match\n\n'
        'Thread 0x000000000000bbbb (most recent call first):\n  File "/lib/threading.py", line 331 in wait\n\n'
        'Current thread 0x000000000000cccc (most recent call first):\n  Garbage-collecting\n  File "/app/x.py", line 1'
    )
    assert split_stacks(written, 0xCCCC) == (
        '  File "/app/x.py", line 1',
        '  File "/lib/re/__init__.py", line 166 in match',
    )


def test_a_name_that_cannot_be_read_is_nobodys() -> None:
    assert saga_names(WHO) == ("s-1", "selling:1", "charge")
    assert saga_names(WHO[:-3]) == saga_names(b"") == (None, None, None)
