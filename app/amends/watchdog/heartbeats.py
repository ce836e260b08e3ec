"""Renews the lease in the database, and gives up a connection whose other end does not answer."""

from __future__ import annotations

from concurrent.futures import Future
from datetime import datetime
from threading import Thread
from typing import Final

from sqlalchemy import URL

from app.amends.store.connections.heartbeat import Heartbeat

LONGEST_SECONDS: Final = 2.5
"""How long a beat is waited for at most: half the lease, so that the next one comes before the lease is over."""


class Heartbeats:
    """One heartbeat after the other, each in its own thread: nothing on a socket tells of a peer that stands still."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._heartbeat = Heartbeat(url)

    def beat(self, executor: str, lease: float) -> datetime | None:
        """Renew a lease of so many seconds; returns the database's time, None if the lease was taken away.

        Raises psycopg.Error or TimeoutError if nobody answers.
        """
        seconds = min(LONGEST_SECONDS, max(1.0, lease / 2))
        asked, told = self._heartbeat, Future[datetime | None]()
        Thread(target=self._ask, args=(asked, executor, lease, told), name="heartbeat", daemon=True).start()
        try:
            return told.result(seconds)
        except TimeoutError:
            self._heartbeat = Heartbeat(self._url)
            asked.close()
            raise TimeoutError(f"the database has not answered within {seconds:g} s") from None

    def _ask(self, heartbeat: Heartbeat, executor: str, lease: float, told: Future[datetime | None]) -> None:
        try:
            told.set_result(heartbeat.beat(executor, lease))
        except BaseException as error:
            told.set_exception(error)
        finally:
            if self._heartbeat is not heartbeat:
                heartbeat.close()
