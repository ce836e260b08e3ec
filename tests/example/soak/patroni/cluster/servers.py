"""Servers of Amends that a process manager keeps running."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tests.example.crash.test_random_faults import ready
from tests.example.server import Server, wait_for

LOOK_SECONDS = 0.5
START_SECONDS = 240.0


@dataclass
class Keeper:
    """Starts a server again whenever it has ended, as systemd does with Restart=always."""

    server: Server
    ends: list[int] = field(default_factory=list)
    """The exit statuses of those that ended."""
    _over: threading.Event = field(default_factory=threading.Event)

    def keep(self) -> threading.Thread:
        thread = threading.Thread(target=self._keep, daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        self._over.set()

    def _keep(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            if self.server.ended():
                self.ends.append(self.server.wait())
                self.server.launch()


@contextmanager
def kept_servers(url: str, count: int, provider_url: str) -> Iterator[list[Keeper]]:
    """So many servers on one database, each kept running until the end."""
    with ExitStack() as stack:
        keepers = []
        for _ in range(count):
            server = stack.enter_context(Server(None, provider_url=provider_url))
            server.environment["DATABASE_URL"] = url
            keepers.append(Keeper(server.start()))
        threads = [keeper.keep() for keeper in keepers]
        try:
            yield keepers
        finally:
            for keeper, thread in zip(keepers, threads, strict=True):
                keeper.stop()
                thread.join()


def all_ready(keepers: list[Keeper]) -> None:
    for keeper in keepers:
        wait_for(lambda server=keeper.server: ready(server), "every server is ready", START_SECONDS)  # type: ignore[misc]
