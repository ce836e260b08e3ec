"""A server in a process of its own, asked over HTTP; and its pulse, which tells how long its event loop was busy."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from sqlalchemy import URL

from app.amends.postgres.urls import conninfo

SECONDS = 300.0
UP = "Amends is up: "
EVERY_SECONDS = 0.005


class Client:
    """One connection to a server, kept for all requests."""

    def __init__(self, base: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=SECONDS)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> bytes:
        """The body of an answer. Raises RuntimeError if it is not one of success."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = None if body is None else json.dumps(body)
        self._connection.request(method, path, sent, {"Content-Type": "application/json"} | named)
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path} was answered with {answer.status}: {said.decode()[:500]}")
        return said

    def timed(self, method: str, path: str, body: Any = None) -> float:
        """How many milliseconds an answer takes."""
        began = time.perf_counter()
        self.ask(method, path, body)
        return (time.perf_counter() - began) * 1000


@dataclass
class Pulse:
    """Asks for /healthz all the time, in a thread, on a connection of its own."""

    client: Client
    stop: threading.Event = field(default_factory=threading.Event)
    took: list[float] = field(default_factory=list)
    """What each answer took since that was last asked, in milliseconds."""

    def beat(self) -> None:
        while not self.stop.wait(EVERY_SECONDS):
            self.took.append(self.client.timed("GET", "/healthz"))

    def longest(self) -> float:
        """The longest answer since the last time, that to the request included which is under way."""
        seen = len(self.took)
        while len(self.took) < seen + 2:
            if not self._thread.is_alive():
                raise RuntimeError("/healthz is not answered any more")
            time.sleep(EVERY_SECONDS)
        took, self.took = self.took, []
        return max(took)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.beat, daemon=True, name="pulse")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join()


@contextmanager
def server(module: str, owner: URL) -> Iterator[str]:
    """Run a module that serves on a database; yields where it is. What it said is shown if it does not come up."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AMENDS_")}
    environment = kept | {"DATABASE_URL": conninfo(owner)}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
            cwd=Path(__file__).parents[2],
        )
        assert process.stdout is not None
        try:
            said = next((line for line in process.stdout if line.startswith(UP)), None)
            if said is None:
                log.seek(0)
                raise RuntimeError(f"{module} does not serve:\n{log.read().decode()[-2000:]}")
            yield said.removeprefix(UP).strip()
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.stdout.close()
            process.wait()
