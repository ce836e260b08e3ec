"""An executor's heartbeat: a connection of its own, used by the lease's thread alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo, settings
from app.amends.store.connections.sqlstates import spoils
from app.amends.store.sql import statements

RENEW = statements("executors.sql")["renew"]


class Heartbeat:
    """Renews leases in the database."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._connection: psycopg.Connection | None = None

    def beat(self, executor: str, lease: float) -> datetime | None:
        """Renew a lease of so many seconds; returns the database's time, None if the lease was taken away.

        Raises psycopg.Error if nobody answers.
        """
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(conninfo(self._url), **self._settings())
        try:
            row = self._connection.execute(RENEW, {"id": executor, "lease": timedelta(seconds=lease)}).fetchone()
        except psycopg.Error as error:
            if spoils(error):
                self._connection.close()
            raise
        return None if row is None else row[0]

    def close(self) -> None:
        if self._connection:
            self._connection.close()

    def _settings(self) -> dict[str, Any]:
        """A heartbeat does not wait long for anything, and for no standby: the next one is due."""
        quick = settings(self._url, "lease", statement_timeout="2s", lock_timeout="2s")
        return quick | {"connect_timeout": 2, "tcp_user_timeout": 2000}
