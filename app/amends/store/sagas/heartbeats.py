"""Renews the lease of an executor in the database, and gives up a connection whose other end does not answer."""

from __future__ import annotations

from concurrent.futures import Future
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any, Final

import psycopg
from sqlalchemy import URL

from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.sqlstates import spoils_session
from app.amends.postgres.urls import connection_settings, conninfo

SQL: Final = load_statements(Path(__file__).with_name("executors.sql"))
LONGEST_SECONDS: Final = 2.5
"""How long a beat is waited for at most: half the lease, so that the next one comes before the lease is over."""


class Heartbeats:
    """Heartbeats one after the other, each in its own thread: nothing on a socket tells of a peer that stands still."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._heartbeat = Heartbeat(url)

    def renew_lease(self, executor: str, lease: float) -> datetime | None:
        """Renew a lease of so many seconds; returns the database's time, None if the lease was taken away.

        Raises psycopg.Error or TimeoutError if nobody answers.
        """
        seconds = min(LONGEST_SECONDS, max(1.0, lease / 2))
        asked, answer = self._heartbeat, Future[datetime | None]()
        Thread(target=self._ask, args=(asked, executor, lease, answer), name="heartbeat", daemon=True).start()
        try:
            return answer.result(seconds)
        except TimeoutError:
            self._heartbeat = Heartbeat(self._url)
            asked.close()
            raise TimeoutError(f"the database has not answered within {seconds:g} s") from None

    def _ask(self, heartbeat: Heartbeat, executor: str, lease: float, answer: Future[datetime | None]) -> None:
        try:
            answer.set_result(heartbeat.renew_lease(executor, lease))
        except BaseException as error:
            answer.set_exception(error)
        finally:
            if self._heartbeat is not heartbeat:
                heartbeat.close()


class Heartbeat:
    """Renews leases over one connection of its own, which the lease's thread alone uses."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._connection: psycopg.Connection | None = None

    def renew_lease(self, executor: str, lease: float) -> datetime | None:
        """Renew a lease of so many seconds; returns the database's time, None if the lease was taken away.

        Raises psycopg.Error if nobody answers.
        """
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(conninfo(self._url), **self._settings())
        try:
            parameters = {"id": executor, "lease": timedelta(seconds=lease)}
            row = self._connection.execute(SQL["renew"], parameters).fetchone()
        except psycopg.Error as error:
            if spoils_session(error):
                self._connection.close()
            raise
        return None if row is None else row[0]

    def close(self) -> None:
        if self._connection:
            self._connection.close()

    def _settings(self) -> dict[str, Any]:
        """A heartbeat does not wait long for anything, and for no standby: the next one is due."""
        quick = connection_settings(self._url, "lease", statement_timeout="2s", lock_timeout="2s")
        return quick | {"connect_timeout": 2, "tcp_user_timeout": 2000}
