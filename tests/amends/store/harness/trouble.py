"""A database in trouble whenever a test wants it: errors of every sort, raised by Postgres and counted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo

Sql = psycopg.Connection

SETUP = """
create sequence public.tries;
create function public.fail(times int, code text) returns bigint language plpgsql as $$
begin
    if nextval('public.tries') <= times then
        raise exception 'trouble with %', code using errcode = code;
    end if;
    return currval('public.tries');
end $$;

create function public.fail_for() returns trigger language plpgsql as $$
begin
    perform public.fail(1000, tg_argv[1]) where new.stream = tg_argv[0];
    return new;
end $$;

create table public.stock (sku text primary key, held int not null);
insert into public.stock values ('apple', 0), ('pear', 0);
create table public.known (n int primary key);
create table public.notes (
    n int references public.known deferrable initially deferred,
    once int unique deferrable initially deferred,
    long text unique
);
grant usage on sequence public.tries to amends_service;
grant select, insert, update on public.stock, public.notes to amends_service;
"""
FOR_EVER = 1000

LONG = "select string_agg(md5(n::text), '') from generate_series(1, 1000) as n"
"""More than an index takes, and compression does not help."""


@pytest.fixture
def trouble(sql: Sql) -> Sql:
    """A superuser's connection to a database with things that fail."""
    sql.execute(SETUP)
    return sql


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent again is sent again soon."""
    monkeypatch.setattr("app.amends.postgres.statements.resending.LONGEST_WAIT", 0.02)


def tries(sql: Sql) -> int:
    """How often something was tried: a sequence goes on whatever becomes of the transaction."""
    row = sql.execute("select case when is_called then last_value else 0 end from public.tries").fetchone()
    assert row is not None
    return int(row[0])


def limited(url: URL, **limits: str) -> URL:
    """The database with other limits."""
    return url.update_query_dict({"options": " ".join(f"-c {name}={value}" for name, value in limits.items())})


def fails_for(sql: Sql, stream: str, code: str) -> None:
    """From now on, whoever appends to a stream meets an error."""
    sql.execute(
        f"create trigger fail before insert on amends.events for each row"
        f" execute function public.fail_for('{stream}', '{code}')".encode()
    )
    sql.execute("grant execute on function public.fail(int, text) to amends_service")


@contextmanager
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[str], int]]:
    """How often something was logged since, at whatever level."""
    with caplog.at_level(logging.DEBUG, "amends.store"):
        yield lambda text: sum(text in each.getMessage() for each in caplog.records)


async def until(met: Callable[[], bool]) -> None:
    """Wait for a condition, not for a time."""
    async with asyncio.timeout(60):
        while not met():
            await asyncio.sleep(0.01)


def end_sessions(sql: Sql) -> None:
    """End every session of Amends."""
    sql.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name like 'amends %' and datname = current_database()"
    )


@contextmanager
def read_only(sql: Sql) -> Iterator[None]:
    """The database takes no writes of sessions that begin meanwhile, and there are no others."""
    change = "alter database {} set default_transaction_read_only = {}"
    named = psycopg.sql.Identifier(sql.info.dbname)
    sql.execute(psycopg.sql.SQL(change).format(named, psycopg.sql.SQL("on")))
    end_sessions(sql)
    try:
        yield
    finally:
        sql.execute(psycopg.sql.SQL(change).format(named, psycopg.sql.SQL("off")))


@contextmanager
def missing(sql: Sql, what: str) -> Iterator[None]:
    """The service lacks something that it needs: `right`, `table` or `function`."""
    there, gone = {
        "right": (
            "grant insert on amends.events to amends_service",
            "revoke insert on amends.events from amends_service",
        ),
        "table": (
            "alter table amends.elsewhere rename to events",
            "alter table amends.events rename to elsewhere",
        ),
        "function": (
            "alter function amends.elsewhere(text[]) rename to lock_streams",
            "alter function amends.lock_streams(text[]) rename to elsewhere",
        ),
    }[what]
    sql.execute(gone.encode())
    yield
    sql.execute(there.encode())


@contextmanager
def held(url: URL, stream: str) -> Iterator[None]:
    """Somebody has locked a stream."""
    with psycopg.connect(conninfo(url)) as holder:
        holder.execute("select amends.lock_streams(array[%s])", (stream,))
        yield
