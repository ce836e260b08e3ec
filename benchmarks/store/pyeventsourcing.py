"""The same with the library eventsourcing on its Postgres module, as its documentation shows it."""

from __future__ import annotations

from itertools import cycle
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from benchmarks.store.measuring import Figures, Watch, threads
from benchmarks.store.sizes import ACCOUNTS, EVENTS_BEFORE, FEED, LENGTHS, loaded

SNAPSHOT_EVERY = 500

COPIES = """
insert into public.bank_events (originator_id, originator_version, topic, state)
select md5((n / 5)::text)::uuid, n %% 5 + 2, e.topic, e.state
  from generate_series(0, %s - 1) as n
 cross join (select topic, state from public.bank_events where originator_id = %s and originator_version = 2) as e
 order by n"""


class Account(Aggregate):
    """An account in this library's words."""

    def __init__(self, key: str, owner: str, currency: str) -> None:
        self.key, self.owner, self.currency, self.balance = key, owner, currency, 0

    @staticmethod
    def create_id(key: str) -> UUID:
        return uuid5(NAMESPACE_URL, key)

    @event("Deposited")
    def deposit(self, amount: int) -> None:
        self.balance += amount


class Bank(Application[UUID]):
    """Events are JSON, which is the default."""

    name = "Bank"


class SnapshottingBank(Bank):
    """The same tables, and one for snapshots."""

    name = "Bank"
    is_snapshotting_enabled = True


def bank(url: URL, connections: int = 1, kind: type[Bank] = Bank) -> Bank:
    """The application with a connection for each thread; it makes its tables."""
    given = {"DBNAME": url.database, "HOST": url.host, "PORT": url.port, "USER": url.username, "PASSWORD": url.password}
    settings = {f"POSTGRES_{name}": str(value) for name, value in given.items()}
    pool = {"POSTGRES_POOL_SIZE": str(connections), "POSTGRES_MAX_OVERFLOW": "0"}
    return kind({"PERSISTENCE_MODULE": "eventsourcing.postgres"} | settings | pool)


def account(key: str, events: int) -> Account:
    """A new account with so many events, not saved."""
    made = Account(key, "Ada", "EUR")
    for _ in range(events - 1):
        made.deposit(1)
    return made


def append(url: URL, events: int, writers: int) -> Figures:
    """Every thread has an account of its own."""
    with bank(url, writers) as app:
        accounts = [account(str(uuid4()), 1) for _ in range(writers)]
        app.save(*accounts)

        def write(mine: int) -> None:
            for _ in range(events):
                accounts[mine].deposit(1)
            app.save(accounts[mine])

        return threads(write, writers)


def fill(url: URL) -> Figures:
    """The accounts to be loaded, with snapshots at their ends, and copies of an event for the feed."""
    with bank(url, kind=SnapshottingBank) as app:
        for length in LENGTHS:
            long = account(loaded(length), length)
            app.save(long)
            if length >= SNAPSHOT_EVERY:
                app.take_snapshot(long.id)
    with psycopg.connect(conninfo(url), autocommit=True) as connection:
        connection.execute(COPIES, (FEED, long.id))
        connection.execute("vacuum analyze public.bank_events")
    return {}


def load(url: URL, events: int, kind: type[Bank] = Bank) -> Figures:
    """One account, again and again, from its first event on."""
    id = Account.create_id(loaded(events))
    with bank(url, kind=kind) as app:
        found: Account = app.repository.get(id)
        assert (found.balance, found.version) == (events - 1, events)
        return threads(lambda _: app.repository.get(id), 1)


def load_kept(url: URL, events: int) -> Figures:
    """The same from the snapshot at its end, if the account is long enough for one."""
    return load(url, events, SnapshottingBank)


def decide(url: URL, writers: int) -> Figures:
    """Get, trigger, save. Every thread goes round among accounts of its own, which stay short."""
    accounts = [account(str(uuid4()), EVENTS_BEFORE) for _ in range(ACCOUNTS)]
    mine = [cycle(each.id for each in accounts[writer::writers]) for writer in range(writers)]
    with bank(url, writers) as app:
        app.save(*accounts)

        def pay_in(writer: int) -> None:
            found: Account = app.repository.get(next(mine[writer]))
            found.deposit(1)
            app.save(found)

        return threads(pay_in, writers)


def feed(url: URL, size: int) -> Figures:
    """Pages of the notification log, one after the other."""
    watch, after = Watch(), 0
    with bank(url) as app:
        app.recorder.select_notifications(None, 1)
        for _ in range(FEED // size):
            with watch:
                page = app.recorder.select_notifications(after, size, inclusive_of_start=False)
            assert len(page) == size
            for notification in page:
                if notification.id <= after:
                    raise AssertionError(f"{notification.id} comes after {after} in the log")
                after = notification.id
    return watch.figures()
