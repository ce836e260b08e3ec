"""Threads of a process as Linux shows them: their state, and their processor time."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class ProcessThreads:
    """The threads of a process at one moment; where they cannot be seen, they seem to sleep.

    `cpu` is processor time in seconds by thread, and `pauses` how often the first one has stopped to wait.
    """

    at: float
    first: int
    state: str = "S"
    cpu: dict[int, float] = field(default_factory=dict)
    pauses: int = 0

    @classmethod
    def of(cls, pid: int, at: float, all: bool) -> ProcessThreads:
        """All threads of a process, or the first one alone, on which the event loop runs."""
        tasks, cpu, first = Path(f"/proc/{pid}/task"), {}, None
        try:
            for number in map(int, os.listdir(tasks) if all else [pid]):
                with suppress(OSError):  # a thread may end meanwhile
                    fields = (tasks / str(number) / "stat").read_text().rpartition(")")[2].split()
                    cpu[number] = (int(fields[11]) + int(fields[12])) / TICKS
                    first = fields[0] if number == pid else first
            status = (tasks / str(pid) / "status").read_text() if all else ""
        except OSError:
            return cls(at, pid)
        pauses = int(status.partition("voluntary_ctxt_switches:")[2].split("\n")[0] or 0)
        return cls(at, pid, first or "S", cpu, pauses)

    def cpu_seconds(self, since: ProcessThreads) -> float:
        """The seconds of processor time that the first thread has used."""
        return self.cpu.get(self.first, 0.0) - since.cpu.get(self.first, 0.0)

    def is_waiting_for_gil(self, since: ProcessThreads) -> bool:
        """Whether the first thread waited for Python's lock while another one held it.

        A thread that waits for that lock wakes two hundred times a second to look whether it is free. A thread that
        sleeps does not, and one that computes has the processor itself.
        """
        seconds, mine = self.at - since.at, self.cpu_seconds(since)
        others = [used - since.cpu.get(number, 0.0) for number, used in self.cpu.items() if number != self.first]
        waits = self.pauses - since.pauses >= 40 * seconds
        return seconds >= 0.4 and waits and mine < seconds / 10 and max(others, default=0.0) >= seconds / 5
