"""The watchdog's own process: it looks at the server and speaks up when its event loop is blocked.

It is started by path, with the standard library alone, and imports a database driver only once something blocks. What
it knows comes as one line of JSON on its standard input, whose end is the end of the server; what it sees it writes as
lines of JSON to its standard output. Once the lease is over it writes to the log too: the server may never speak again.
"""

from __future__ import annotations

import json
import mmap
import os
import select
import signal
import struct
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SIZE = 4096
HEAD = struct.Struct("<ddI")
LOOK_SECONDS = 0.25
GAP_SECONDS = 1.0
"""Whoever looks again only so much later has been suspended: with the machine, or with the container."""
DUMP_SECONDS = 0.3
"""How long a stack is waited for."""
LONGEST_STACK = 4000
PATIENCE_LEASES, PATIENCE_SECONDS = 12, 60
"""A server that does not come back for so many leases, and so long, is ended: nobody else may be there to take over."""


def clock() -> float:
    """Seconds that also pass while the machine is suspended; the server's marks are made with the same clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass
class Block:
    """Some code that runs and runs: since when, whose, and what was seen of the server meanwhile."""

    since: float
    who: bytes
    cpu_before: float
    cpu: float = 0.0
    looks: int = 0
    asleep: int = 0
    stack: str = ""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    noted: bool = False
    recorded: bool = False

    def is_its_fault(self, seconds: float) -> bool:
        """Whether it had the processor, or slept: a machine that had no time for it is nobody's fault."""
        return self.cpu >= seconds / 5 or self.asleep >= self.looks / 2


class Watch:
    """Looks at one server."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.pid, self.lease, self.executor = given["pid"], given["lease"], given["executor"]
        self.memory = mmap.mmap(given["memory"], SIZE)
        self.dump, self.signal, self.thread = given["dump"], given["signal"], given["thread"]
        self.record = Record(given)
        self.warn = min(1.0, self.lease / 3)
        self.block: Block | None = None
        self.free_since = self.looked = clock()

    def look(self) -> None:
        """One look at the server."""
        now = clock()
        state, cpu = seen(self.pid)
        if now - self.looked > GAP_SECONDS or state in "Tt":
            self.free_since = now  # it, or all of us, stood still
        answered, entered, size = HEAD.unpack_from(self.memory)
        who = bytes(self.memory[HEAD.size : HEAD.size + min(size, SIZE - HEAD.size)]) if entered else b""
        begun = entered or answered + self.lease / 5
        since = max(begun, self.free_since)
        if self.block and (self.block.who, self.block.since) != (who, since):
            self.ended(self.block, now)
            self.block = None
        if now - since < self.warn:
            return
        if self.block is None:
            self.block = Block(since, who, cpu, stack=self.stack())
        self.block.looks += 1
        self.block.asleep += state == "S"
        self.block.cpu = cpu - self.block.cpu_before
        if now - since > self.lease / 3:
            self.record.connect()
        self.goes_on(self.block, clock() - since)

    def goes_on(self, block: Block, seconds: float) -> None:
        """It blocks still: put it on record when the lease is over, and end the server if it does not come back."""
        if not block.is_its_fault(seconds):
            return
        told = self.told(block, seconds)
        if block.who and not block.noted and seconds > 0.7 * self.lease:
            block.noted = self.record.note(told, final=False) is not None
        if seconds > self.lease and not block.recorded:
            block.recorded = True
            alive = self.record.note(told, final=True) if block.who else None
            log(
                "ERROR",
                f"{said(block)} has blocked the event loop for {seconds:.1f} s, longer than the lease",
                block.stack,
            )
            say({"what": "recorded", "ours": alive} | told)
        elif block.recorded:
            lost = self.record.is_ended()
            if lost or seconds > max(PATIENCE_LEASES * self.lease, PATIENCE_SECONDS):
                why = "others have taken over" if lost else "nobody else can go on with its sagas"
                log("ERROR", f"This server is ended: its event loop does not answer, and {why}", "")
                os.kill(self.pid, signal.SIGKILL)

    def ended(self, block: Block, now: float) -> None:
        """It blocks no more."""
        seconds = now - block.since
        if block.noted and not block.recorded:
            self.record.clear()
        if block.is_its_fault(seconds):
            say({"what": "ended"} | self.told(block, seconds))

    def told(self, block: Block, seconds: float) -> dict[str, Any]:
        saga, kind, step = json.loads(block.who) if block.who else (None, None, None)
        where = {"saga": saga, "kind": kind, "step": step}
        return where | {"seconds": round(seconds, 1), "stack": block.stack, "id": block.id}

    def stack(self) -> str:
        """The stack of the event loop's thread, innermost line first; the server need not be able to run for that."""
        os.ftruncate(self.dump, 0)
        os.kill(self.pid, self.signal)
        until, text = clock() + DUMP_SECONDS, ""
        while clock() < until:
            time.sleep(0.02)
            before, text = text, os.pread(self.dump, 200_000, 0).decode(errors="replace")
            if text and text == before:
                break
        return stack_of(text, self.thread)


def stack_of(text: str, thread: int) -> str:
    """One thread's part of what faulthandler wrote, without its head."""
    for part in text.split("\n\n"):
        head, _, frames = part.strip().partition("\n")
        if f"{thread:016x}" in head:
            return frames.replace("  Garbage-collecting\n", "")[:LONGEST_STACK]
    return ""


def seen(pid: int) -> tuple[str, float]:
    """The state of a process's main thread as Linux names it, and the seconds of processor time that it has used."""
    try:
        line = Path(f"/proc/{pid}/task/{pid}/stat").read_text()
    except OSError:
        return "S", 0.0
    fields = line.rpartition(")")[2].split()
    return fields[0], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Record:
    """The database, from the moment that something blocks."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given
        self._connection: Any = None

    def connect(self) -> None:
        """Be connected, if the database lets us."""
        if self._connection is not None and not self._connection.closed:
            return
        sys.path[:] = self._given["path"]
        import psycopg

        try:
            self._connection = psycopg.connect(self._given["url"], **self._given["connect"])
        except psycopg.Error as error:
            log("WARNING", f"The watchdog does not reach the database: {str(error).strip()}", "")

    def note(self, told: dict[str, Any], final: bool) -> bool | None:
        """Note who blocks, or put it on record; whether this executor lives. None if the database does not answer."""
        data = {name: told[name] for name in ("step", "seconds", "stack")} | {"executor": self._given["executor"]}
        metadata = {"actor": "amends", "executor": self._given["executor"]}
        event = self._given["event"] | {"id": told["id"], "data": data, "metadata": metadata}
        event["stream"] = f"saga-{told['saga']}"
        return self._ask({"saga": told["saga"], "events": [event]}, final)

    def clear(self) -> None:
        """Nobody blocks any more."""
        self._ask(None, False)

    def is_ended(self) -> bool:
        """Whether somebody has ended this executor."""
        found = self._run("select ended_at is not null from amends.executors where id = %s", (self._given["executor"],))
        return bool(found and found[0])

    def _ask(self, blocked: dict[str, Any] | None, final: bool) -> bool | None:
        text = None if blocked is None else json.dumps(blocked)
        found = self._run("select amends.note_blocked(%s, %s::jsonb, %s)", (self._given["executor"], text, final))
        return None if found is None else bool(found[0])

    def _run(self, statement: str, parameters: tuple[Any, ...]) -> Any:
        self.connect()
        if self._connection is None:
            return None
        try:
            return self._connection.execute(statement, parameters).fetchone()
        except Exception as error:
            log("WARNING", f"The watchdog could not say what blocks: {str(error).strip()}", "")
            self._connection.close()
            return None


def said(block: Block) -> str:
    """Who it was, in words."""
    if not block.who:
        return "Code of no saga"
    saga, kind, step = json.loads(block.who)
    return f"{f'Step {step}' if step else 'run'} of saga {printable(saga)} ({printable(kind)})"


def printable(text: str) -> str:
    """A text as a log can take it."""
    return "".join(part if part.isprintable() else "?" for part in text)


def say(told: dict[str, Any]) -> None:
    """Tell the server, which may hear it later or never."""
    try:
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
    except OSError:
        sys.exit(0)


def log(level: str, text: str, stack: str) -> None:
    """A line of the server's log, with a stack below it."""
    now = time.time()
    at = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03d}Z"
    lines = "".join(f"\n    {line.strip()}" for line in stack.splitlines())
    sys.stderr.write(f"{at} {level} amends.watchdog: {text}.{lines}\n")
    sys.stderr.flush()


def main() -> None:
    """Look at the server until it ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    given = json.loads(sys.stdin.buffer.readline())
    watch = Watch(given)
    while os.getppid() == watch.pid:
        if select.select([sys.stdin], [], [], min(LOOK_SECONDS, watch.lease / 10))[0]:
            return
        watch.look()
        watch.looked = clock()


if __name__ == "__main__":
    main()
