"""The watch of the event loop: what blocks it, for how long, and whose fault that is."""

from __future__ import annotations

import mmap
import os
import signal
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from app.amends.watchdog.block_record import BlockRecord
from app.amends.watchdog.output import log, saga_names, send_report
from app.amends.watchdog.stacks import StackReader, split_stacks
from app.amends.watchdog.stop_signals import StopRequests
from app.amends.watchdog.threads import ProcessThreads
from workflows.amends.clocks import clock
from workflows.amends.engine.user_code.running_code import SIZE, read_mark

GAP_SECONDS: Final = 1.0
"""The gap between two looks that shows that the watchdog itself was suspended: with the machine, or the container."""
MOMENT_SECONDS: Final = 0.2
"""How long code runs before it is watched closely: its processor time is measured from then on."""
PATIENCE_LEASES: Final = 12
PATIENCE_SECONDS: Final = 60
"""A server that does not answer for so many leases, and so long, is ended: nobody else may be there to take over."""


@dataclass
class LoopBlock:
    """Code that blocks the event loop: since when, whose, and the threads of the server meanwhile."""

    since: float
    who: bytes
    before: ProcessThreads
    now: ProcessThreads
    looks: int = 0
    asleep: int = 0
    stack: str | None = None
    beside: str = ""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    noted: bool = False
    said: bool = False
    recorded: bool = False

    @property
    def is_held(self) -> bool:
        """Whether it waited for another thread, which held Python's lock."""
        return self.now.is_waiting_for_gil(self.before)

    def is_its_fault(self, seconds: float) -> bool:
        """Whether it used the processor, or slept: a block by a busy machine is nobody's fault."""
        return not self.is_held and (
            self.now.cpu_seconds(self.before) >= seconds / 5 or self.asleep >= max(self.looks / 2, 1)
        )

    def report(self, seconds: float) -> dict[str, Any]:
        """The report about it."""
        saga, kind, step = saga_names(b"" if self.is_held else self.who)
        about = {"saga": saga, "kind": kind, "step": step, "held": self.is_held, "id": self.id}
        return about | {"seconds": round(seconds, 1), "stack": self.beside if self.is_held else self.stack or ""}


class LoopWatch:
    """Watches the event loop of one server."""

    def __init__(self, given: dict[str, Any], record: BlockRecord) -> None:
        self.pid, self.lease = given["pid"], given["lease"]
        self.memory = memoryview(mmap.mmap(given["memory"], SIZE))
        self.stacks, self.thread = StackReader(given), given["thread"]
        self.stops, self.hard = StopRequests(given), given["hard"]
        self.asked_at: float | None = None
        self.record = record
        self.warn = min(1.0, self.lease / 3)
        self.block: LoopBlock | None = None
        self.free_since = self.looked = clock()

    def check(self) -> None:
        """One look at the server."""
        now = clock()
        seen = ProcessThreads.of(self.pid, now, all=self.block is not None)
        if now - self.looked > GAP_SECONDS or seen.state in "Tt":
            self.free_since = now  # it, or all of us, stood still
        self.end_if_asked(now)
        answered, entered, who = read_mark(self.memory)
        since = max(entered or answered + self.lease / 5, self.free_since)
        who = who if entered else b""
        if self.block and (self.block.who, self.block.since) != (who, since):
            until = self.block.now.at if self.free_since == now else now
            self.report_end(self.block, until - self.block.since)
            self.block = None
        if now - since >= min(MOMENT_SECONDS, self.warn):
            if self.block is None:
                seen = ProcessThreads.of(self.pid, now, all=True)
                self.block = LoopBlock(since, who, seen, seen)
            self.watch_ongoing_block(self.block, seen, now - since)
        elif self.block is None:
            self.record.write_pending()
        self.looked = clock()

    def end_if_asked(self, now: float) -> None:
        """End a server that was asked to stop and is still there: code that holds Python's lock keeps it from that."""
        if self.asked_at is None:
            self.asked_at = now if self.stops.was_asked() else None
        elif now - self.asked_at > self.hard:
            self.end_server("it was asked to stop and does not")

    def watch_ongoing_block(self, block: LoopBlock, seen: ProcessThreads, seconds: float) -> None:
        """Watch a block that goes on: put it on record when the lease is over, and end a server that does not come
        back."""
        block.now, block.looks, block.asleep = seen, block.looks + 1, block.asleep + (seen.state == "S")
        if seconds < self.warn:
            return
        if block.stack is None:
            block.stack, block.beside = split_stacks(self.stacks.ask(), self.thread)
        if seconds > self.lease / 3:
            self.record.connect()
        if not (block.is_held or block.is_its_fault(seconds)):
            return
        told = block.report(seconds)
        if told["saga"] is None and block.noted:
            block.noted = False
            self.record.clear_note()
        elif told["saga"] is not None and not block.noted and seconds > 0.7 * self.lease:
            block.noted = self.record.note_suspect(told)
        if seconds > self.lease:
            self.report_if_long(block, told, seconds)

    def report_if_long(self, block: LoopBlock, told: dict[str, Any], seconds: float) -> None:
        """Report a block that is longer than the lease."""
        if not block.said:
            block.said = True
            took = f"{block_in_words(told)} has blocked the event loop for {seconds:.1f} s, longer than the lease"
            log("ERROR", took, told["stack"])
        if told["saga"] is not None and not block.recorded:
            block.recorded = self.record.record_block(told)
        lost = self.record.is_ended()
        if lost or seconds > max(PATIENCE_LEASES * self.lease, PATIENCE_SECONDS):
            why = "others have taken over" if lost else "nobody else can go on with its sagas"
            self.end_server(f"its event loop does not answer, and {why}")

    def report_end(self, block: LoopBlock, seconds: float) -> None:
        """Report the end of a block."""
        if block.stack is None:
            return
        told = block.report(seconds)
        if block.said and not block.recorded and told["saga"] is not None:
            self.record.record_block_later(told)
        elif block.noted and not block.recorded:
            self.record.clear_note()
        if block.is_held or block.is_its_fault(seconds):
            send_report({"what": "ended"} | told)

    def end_server(self, why: str) -> None:
        """End the server."""
        log("ERROR", f"This server is ended: {why}")
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def block_in_words(told: dict[str, Any]) -> str:
    """The blocking code, in words."""
    if told["held"]:
        return "A thread that holds Python's lock"
    if told["saga"] is None:
        return "Code of no saga"
    step = f"Step {told['step']}" if told["step"] else "run"
    return f"{step} of saga {told['saga']} ({told['kind']})"
