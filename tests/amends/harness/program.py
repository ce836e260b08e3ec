"""Programs of this checkout in processes of their own: `python -m MODULE`, forked with its imports done, or fresh."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from typing import IO

from sqlalchemy import URL

from app.amends.output.typed_commands import WITH_RUN
from app.amends.postgres.urls import conninfo
from tests.amends.harness import ROOT


def environment_of(url: URL | str | None, **settings: object) -> dict[str, str]:
    """Ours without what it says of Amends, with a database and settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AMENDS_", "DATABASE_URL"))}
    kept["_AMENDS_PROGRAM"] = WITH_RUN
    if url is not None:
        kept["DATABASE_URL"] = url if isinstance(url, str) else conninfo(url)
    return kept | {f"AMENDS_{name.upper()}": str(value) for name, value in settings.items()}


def amends(
    *arguments: str,
    on: URL | str | None = None,
    environment: Mapping[str, str] | None = None,
    fresh: bool = False,
    timeout: float = 120,
    **settings: object,
) -> subprocess.CompletedProcess[str]:
    """Run a command of Amends to its end, on a database and with settings, or in a whole environment.

    A `fresh` one has imported nothing before, for tests of what a process knows by what it has imported.
    """
    whole = dict(environment_of(on, **settings) if environment is None else environment)
    if fresh:
        command = [sys.executable, "-m", "amends", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env=whole, cwd=ROOT, timeout=timeout, check=False
        )
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        program = Forked.start("amends", arguments, whole, out, err)
        try:
            code = program.wait(timeout)
        except subprocess.TimeoutExpired:
            program.send_signal(signal.SIGKILL)
            program.wait(timeout)
            raise
        return subprocess.CompletedProcess(["amends", *arguments], code, _read(out), _read(err))


class Forked:
    """A process that the fork server has forked, to be used as a `subprocess.Popen`."""

    def __init__(self, told: int) -> None:
        self._told = os.fdopen(told, "rb", buffering=0)
        self.returncode: int | None = None
        self.pid = int(self._line())

    @classmethod
    def start(
        cls, module: str, arguments: Sequence[str], environment: Mapping[str, str], out: IO[bytes], err: IO[bytes]
    ) -> Forked:
        """Run a module as a program in this checkout."""
        request = json.dumps([module, [*arguments], str(ROOT), dict(environment)]).encode()
        told, tell = os.pipe2(os.O_CLOEXEC)
        with open(os.devnull, "rb") as nothing:
            socket.send_fds(_server(), [request], [nothing.fileno(), out.fileno(), err.fileno(), tell])
        os.close(tell)
        return cls(told)

    def poll(self) -> int | None:
        """Its exit status, or None while it runs."""
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self._end()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status once it has ended. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self._end()
        assert self.returncode is not None
        return self.returncode

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _end(self) -> None:
        self.returncode = int(self._line())
        self._told.close()

    def _line(self) -> bytes:
        line = self._told.readline()
        assert line, "the fork server has ended"
        return line


@cache
def _server() -> socket.socket:
    """The fork server of this process of tests, started when it is first needed."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.amends.harness.forkserver", str(its.fileno())]
    server = subprocess.Popen(command, cwd=ROOT, pass_fds=[its.fileno()], stdin=subprocess.DEVNULL)
    its.close()
    assert ours.recv(16) == b"ready", "the fork server has ended"

    def end() -> None:
        ours.close()
        server.wait(10)

    atexit.register(end)
    return ours


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
