"""The same with the library eventsourcing: its projection runner and a view in Postgres, as its documentation says."""

from __future__ import annotations

import time
from typing import Any

import psycopg
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.sql import SQL
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from benchmarks.store.pyeventsourcing import COPIES, Bank, account, bank


class Balances(PostgresTrackingRecorder):
    """A table of balances; a row and the place that was got to are written in one transaction."""

    def __init__(self, datastore: PostgresDatastore, **kwargs: Any) -> None:
        super().__init__(datastore, **kwargs)
        table = SQL(
            "create table if not exists public.their_balances (id uuid primary key, balance bigint, moves bigint)"
        )
        self.sql_create_statements.append(SQL("{0}").format(table))

    def deposited(self, id: Any, amount: int, tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(
                "insert into public.their_balances as b values (%s, %s, 1) on conflict (id) do update"
                " set balance = b.balance + excluded.balance, moves = b.moves + 1",
                (id, amount),
            )


class BalancesProjection(Projection[Balances]):
    """One event after the other."""

    name = "balances"

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        self.view.deposited(domain_event.originator_id, getattr(domain_event, "amount", 0), tracking)


def fill(url: URL, events: int) -> None:
    """Copies of one deposit, five to an account."""
    with bank(url) as app:
        long = account("views", 2)
        app.save(long)
    with psycopg.connect(conninfo(url), autocommit=True) as connection:
        connection.execute(COPIES, (events, long.id))


def catch_up(url: URL) -> tuple[float, int]:
    """Follow the log from its beginning to its end; returns how long that took and how many events it were."""
    with psycopg.connect(conninfo(url), autocommit=True) as connection:
        connection.execute("drop table if exists public.their_balances, public.balances_tracking")
        row = connection.execute("select max(notification_id), count(*) from public.bank_events").fetchone()
    assert row is not None
    env = _env(url)
    began = time.perf_counter()
    with ProjectionRunner(
        application_class=Bank, projection_class=BalancesProjection, view_class=Balances, env=env
    ) as runner:
        runner.wait(row[0], timeout=600)
        return time.perf_counter() - began, row[1]


def _env(url: URL) -> dict[str, str]:
    given = {"DBNAME": url.database, "HOST": url.host, "PORT": url.port, "USER": url.username, "PASSWORD": url.password}
    settings = {f"POSTGRES_{name}": str(value) for name, value in given.items()}
    return {"PERSISTENCE_MODULE": "eventsourcing.postgres"} | settings
