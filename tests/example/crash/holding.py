"""Holds commits and effects of a running server from outside, in the database, so that it can be killed right there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo

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

create function test.hold_effect() returns trigger language plpgsql as $$
begin
    perform test.wait_if_held(new.reference || ' ' || new.operation);
    return new;
end $$;
create trigger hold before insert on sandbox.effects for each row execute function test.hold_effect();

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
class FeedHolder:
    """Holds things by name: `saga-<id> <version>`, `saga-<id> outcome`, `<reference> <operation>`, `build <name>`."""

    connection: psycopg.Connection

    @classmethod
    @contextmanager
    def on(cls, url: URL) -> Iterator[FeedHolder]:
        with psycopg.connect(conninfo(url), autocommit=True) as connection:
            connection.execute(SETUP)
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
