"""A real server in a process of its own, to be talked to over HTTP, paused and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import httpx
from sqlalchemy import URL

from tests.amends.harness import ROOT
from tests.amends.harness.program import Forked, amends, environment_of

START_SECONDS = 180.0

http = httpx.Client(verify=False, timeout=60, limits=httpx.Limits(max_connections=None, max_keepalive_connections=0))
"""The tests' client: a connection for each request, as from as many clients, but no certificates are read for it."""


def wait_for(met: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Wait for a condition, not for a time."""
    deadline = time.monotonic() + seconds
    while not met():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


class Server:
    """`python -m amends up` with a database; what it says is kept in a file that a failing test shows."""

    program: ClassVar[Sequence[str]] = (sys.executable, "-m", "amends", "up")
    """What is run, unless something else is said at the start."""
    open: ClassVar[list[Server]] = []
    """Those of tests that have not ended yet, and of whole files of tests."""

    def __init__(self, url: URL | None, port: int = 0, **settings: object) -> None:
        self.port = port
        self.base = ""
        """Where it is, or was before it ended: it starts again at the same place."""
        self.environment = environment_of(url, **settings)
        self._log = Path(tempfile.mkstemp(prefix="amends-server-", suffix=".log")[1])
        self._earlier = 0
        """How many bytes of that were said before it was started last."""
        self.process: subprocess.Popen[bytes] | Forked | None = None
        self.folder = ROOT
        """Whose project it serves."""
        self.fresh = False
        """Whether it is started anew, and not forked with its imports done."""

    def start(self, host: str = "127.0.0.1", command: Sequence[str] = ()) -> Self:
        """Start, and return once it says that it is up."""
        return self.launch(host, command).until_up()

    def until_up(self) -> Self:
        """Return once it says that it is up, and where."""
        wait_for(self._is_up, "the server is up", START_SECONDS)
        self.base = self._said_now().split("Amends is up: ", 1)[1].split("\n", 1)[0]
        self.port = int(self.base.rsplit(":", 1)[1])
        return self

    def launch(self, host: str = "127.0.0.1", command: Sequence[str] = ()) -> Self:
        """Start, and return at once."""
        whole = [*(command or self.program), "--port", str(self.port), "--host", host]
        self._earlier = self._log.stat().st_size
        with self._log.open("ab") as log:
            if whole[:2] == [sys.executable, "-m"] and self.folder == ROOT and not self.fresh:
                self.process = Forked.start(whole[2], whole[3:], self.environment, log, log)
            else:
                self.process = subprocess.Popen(whole, stdout=log, stderr=log, cwd=self.folder, env=self.environment)
        return self

    def _is_up(self) -> bool:
        if self.ended():
            raise AssertionError(f"the server ended with {self.wait()}:\n{self.said}")
        return "Amends is up: " in self._said_now()

    def _said_now(self) -> str:
        return self._log.read_bytes()[self._earlier :].decode(errors="replace")

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        """SIGKILL; returns when it is dead."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; returns its exit status."""
        return self._end(signal.SIGTERM)

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def ended(self) -> bool:
        """Whether it has ended by itself."""
        assert self.process is not None
        return self.process.poll() is not None

    def wait(self, seconds: float = 60.0) -> int:
        assert self.process is not None
        return self.process.wait(seconds)

    def _end(self, number: int) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
        return self.process.wait(60)

    def __enter__(self) -> Self:
        self.open.append(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.process is not None:
            self._end(signal.SIGKILL)
        self.open.remove(self)
        if kind is not None:
            print(f"--- the server on port {self.port} said:\n{self.said}")
        self._log.unlink(missing_ok=True)

    # -- talking to it

    def command(self, *arguments: str, status: int = 0, fresh: bool = False) -> str:
        """What a command of Amends on the same database prints; it must end with that status."""
        done = amends(*arguments, environment=self.environment, fresh=fresh)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def get(self, path: str, **parameters: Any) -> Any:
        answer = http.get(self.base + path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return http.post(self.base + path, json=body, headers=named)

    def saga(self, id: str, wait: float = 30) -> Any:
        """The saga once it rests."""
        return self.get(f"/workflows/{id}", wait=wait)

    def saga_when_back(self, id: str, seconds: float = 90) -> Any:
        """The saga once it rests, however long the server or its database are away meanwhile."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                answer = http.get(f"{self.base}/workflows/{id}", params={"wait": 5}, timeout=30)
            except httpx.TransportError:
                time.sleep(0.1)
                continue
            if answer.status_code == 200 and answer.json()["status"] not in ("running", "queued", "compensating"):
                return answer.json()
            if answer.status_code not in (200, 503):
                raise AssertionError(answer.text)
        raise AssertionError(f"{id} does not rest within {seconds:g} s")
