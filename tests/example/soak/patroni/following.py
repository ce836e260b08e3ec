"""A follower of /events/live that keeps all it is sent, and is compared with the feed afterwards."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from tests.example.server import Server, http

ORDINARY = ("", "message")


@dataclass
class Follower:
    """Comes back with the last id that it has, as browsers do, until it is told to stop."""

    server: Server
    """The one that it follows, also when that was started again."""
    seen: list[str] = field(default_factory=list)
    """The ids of the events, in the order in which they came."""
    told: list[tuple[int, str, str]] = field(default_factory=list)
    """Each time that it was told that history went back: after how many events, what it is called, what it says."""
    _last: str | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    def follow(self) -> threading.Thread:
        thread = threading.Thread(target=self._follow, daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        self._over.set()

    def _follow(self) -> None:
        while not self._over.wait(0.2):
            with suppress(httpx.TransportError):
                self._connected()

    def _connected(self) -> None:
        headers = {"Last-Event-ID": self._last} if self._last else {}
        with http.stream("GET", f"{self.server.base}/events/live", headers=headers, timeout=25) as answer:
            if answer.status_code == 409:
                self.told.append((len(self.seen), "409", answer.read().decode()))
                self._last = None
            if answer.status_code != 200:
                return
            block: dict[str, str] = {}
            for line in answer.iter_lines():
                if self._over.is_set():
                    return
                if line:
                    name, _, value = line.partition(":")
                    block[name] = value.removeprefix(" ")
                else:
                    self._take(block)
                    block = {}

    def _take(self, block: dict[str, str]) -> None:
        if block.get("event", "") not in ORDINARY:
            self.told.append((len(self.seen), block["event"], block.get("data", "")))
        elif "data" in block:
            self.seen.append(str(json.loads(block["data"])["id"]))
        self._last = block.get("id", self._last)

    def has(self, id: str) -> bool:
        return id in self.seen

    def wrong(self, feed: Sequence[str]) -> Iterable[str]:
        """What is wrong with what it has, now that the feed is this: ids in order, from its beginning."""
        stands, seen = set(feed), set(self.seen)
        gone, missed = len(seen - stands), len(stands - seen)
        where = f"the follower of port {self.server.port}"
        if missed:
            yield f"{where} missed {missed} of {len(stands)} events"
        if gone and not self.told:
            yield f"{where} has {gone} events that are gone, and was not told"
        if not self.told and not missed and not gone and self.seen != list(feed):
            yield f"{where} has all events, but {len(self.seen) - len(seen)} twice or in another order"
        after = [id for id in self.seen[self.told[-1][0] :] if id not in stands] if self.told else []
        if after:
            yield f"{where} has {len(after)} events that are gone and that it was sent after it was told"
