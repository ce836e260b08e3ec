"""A server's process as others see it: which machine it runs on, and whether it is still there."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import psutil

from workflows.amends.ports.executors import OtherExecutor


@dataclass(frozen=True)
class Process:
    """This process: `name` is for people, and `is_gone` says of another executor whether it is certainly dead."""

    name: str
    machine: str
    pid: int
    started_at: float
    is_gone: Callable[[OtherExecutor], bool]


def this_process() -> Process:
    """The process that asks."""
    here, pid = machine_id(), os.getpid()
    return Process(f"{os.uname().nodename}-{pid}", here, pid, process_started_at(pid), partial(is_dead, here=here))


def machine_id() -> str:
    """Names what a process number means something in: a boot of a machine, a container on it, and how births are told.

    The last part keeps servers of a version that told births in another way from taking each other for dead.
    """
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if boot.exists() and namespace.exists():
        return f"{boot.read_text().strip()}:{namespace.stat().st_ino}:ticks"
    return f"{os.uname().nodename}:{psutil.boot_time():.0f}"


def process_started_at(pid: int) -> float:
    """When a process started: on Linux in ticks since the boot, which no setting of the clock moves, else by the clock.

    Raises psutil.NoSuchProcess.
    """
    if not psutil.LINUX:
        return psutil.Process(pid).create_time()
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        raise psutil.NoSuchProcess(pid) from None
    return float(line.rpartition(")")[2].split()[_STARTED])


_STARTED: Final = 22 - 3
"""Where the start is in /proc/<pid>/stat, counted from the third field, which is the first after the name."""


def is_dead(other: OtherExecutor, here: str) -> bool:
    """Whether an executor is certainly dead: it ran on this very machine, and its process does not exist any more."""
    if other.machine != here:
        return False
    try:
        return (
            psutil.Process(other.pid).status() == psutil.STATUS_ZOMBIE
            or abs(process_started_at(other.pid) - other.process_started_at) > 2
        )
    except psutil.NoSuchProcess:
        return True
