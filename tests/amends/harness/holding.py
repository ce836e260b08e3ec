"""Holds commits of a running server from outside, in the database, so that it can be killed right there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

import psycopg
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from tests.amends.harness.server import Server, wait_for

SETUP = """
create schema if not exists test;
create table test.holds (what text primary key);

create function test.wait_if_held(p_what text) returns void language plpgsql as $$
begin
    if exists (select from test.holds where what = p_what) then
        perform set_config('lock_timeout', '0', true), set_config('statement_timeout', '0', true);
        perform set_config('application_name', 'held ' || p_what, false);
        perform pg_advisory_xact_lock_shared(hashtextextended('held ' || p_what, 0));
    end if;
end $$;

create function test.hold_event() returns trigger language plpgsql as $$
begin
    perform test.wait_if_held(new.stream || ' ' || new.version);
    return new;
end $$;
create trigger hold before insert on amends.events for each row execute function test.hold_event();

create function test.hold_outcome() returns trigger language plpgsql as $$
begin
    if new.status in ('SUCCESS', 'ERROR') then
        perform test.wait_if_held('saga-' || new.workflow_uuid || ' outcome');
    end if;
    return new;
end $$;
create trigger hold before update on dbos.workflow_status for each row execute function test.hold_outcome();

create function test.hold_build() returns trigger language plpgsql as $$
begin
    if new.events <> old.events then
        perform test.wait_if_held('build ' || new.name);
    end if;
    return new;
end $$;
create trigger hold before update on amends.builds for each row execute function test.hold_build();

grant usage on schema test to amends_service;
grant select on test.holds to amends_service;
"""


def patient(url: URL) -> URL:
    """The database for a server that is held: its statements wait as long as that takes."""
    return url.update_query_dict({"options": "-c statement_timeout=0"})


@dataclass
class CommitHolder:
    """Holds commits by name: `saga-<id> <version>`, `saga-<id> outcome`, `build <name>`, and what a setup adds."""

    connection: psycopg.Connection

    @classmethod
    @contextmanager
    def on(cls, url: URL, setup: str = "") -> Iterator[CommitHolder]:
        """A holder in a migrated database; `setup` is SQL that lets other tables call `test.wait_if_held(name)`."""
        with psycopg.connect(conninfo(url), autocommit=True) as connection:
            connection.execute(SETUP)
            connection.execute(setup.encode())
            yield cls(connection)

    def hold(self, whats: Sequence[str]) -> None:
        """From now on, whoever comes to one of these waits."""
        for what in whats:
            self.connection.execute("select pg_advisory_lock(hashtextextended('held ' || %s, 0))", (what,))
            self.connection.execute("insert into test.holds values (%s)", (what,))

    def held(self) -> set[str]:
        """What somebody waits at right now."""
        rows = self.connection.execute(
            "select application_name from pg_stat_activity"
            " where application_name like 'held %' and wait_event_type = 'Lock'"
        ).fetchall()
        return {str(name).removeprefix("held ") for (name,) in rows}

    def lose(self, whats: Sequence[str]) -> None:
        """What is held there never happens: its transaction is ended."""
        self.connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = any (%s)",
            ([f"held {what}" for what in whats],),
        )

    def release(self, whats: Sequence[str]) -> None:
        """What is held there happens now, and is not held again."""
        self.connection.execute("delete from test.holds where what = any (%s)", (list(whats),))
        for what in whats:
            self.connection.execute("select pg_advisory_unlock(hashtextextended('held ' || %s, 0))", (what,))


class Point(Protocol):
    """Where a saga of its own is held: `what` names the commit, which comes to be after the kill or never."""

    @property
    def what(self) -> str: ...
    @property
    def landed(self) -> bool: ...


P = TypeVar("P", bound=Point)
T = TypeVar("T")
S = TypeVar("S", bound=Server)


def kill_at(
    holder: CommitHolder, points: Sequence[P], drive: Callable[[S, P], T], server: S, other: S | None = None
) -> tuple[S, list[T]]:
    """Let a client `drive` each saga to its point, and kill the server when all are held there.

    What is to land is committed after the death of the one who sent it, the rest is lost. Returns who goes on with the
    sagas, the server started again or an `other` one that was started before the kill, and what each client was told.
    """
    whats = [point.what for point in points]
    holder.hold(whats)
    with ThreadPoolExecutor(len(points)) as clients:
        driving = [clients.submit(drive, server, point) for point in points]
        wait_for(lambda: holder.held() == {*whats}, "every saga is held at its point", 120)
        if other is not None:
            other.start()
        server.kill()
    holder.lose([point.what for point in points if not point.landed])
    holder.release(whats)
    return other or server.start(), [future.result() for future in driving]
