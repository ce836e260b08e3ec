"""Steps with SQL of their own without an engine: run again as often as one would run them, and counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from app.amends.postgres.sqlstates import CONTENDED_TRIES
from app.amends.postgres.statements.reader import Reader
from app.amends.store.sagas.transactions import PostgresTransaction
from tests.amends.business.order import orders
from tests.amends.store.harness.sagas import Store, event, step_commit
from workflows.amends.ports.execution_log import Committed, StreamMoved, TransactionInterrupted

Sql = psycopg.Connection
Body = Callable[[PostgresTransaction], Awaitable[object]]
HOLD = "update public.stock set held = held + 1 where sku = 'apple'"
NOTE = "insert into public.notes (n, once, long) values (%(n)s, %(once)s, %(long)s)"
FAR = 3 * CONTENDED_TRIES
"""More runs than anything that is counted has."""


@dataclass
class Ran:
    """How often a step ran, and what it came to."""

    runs: int
    end: Committed | StreamMoved | Exception

    @property
    def tries(self) -> int | None:
        """How often it may be interrupted so."""
        assert isinstance(self.end, TransactionInterrupted)
        return self.end.tries


async def ran(it: Store, saga: str, body: Body, most: int = FAR, reader: Reader | None = None) -> Ran:
    """Run a step as the engine does: again if it was interrupted, whatever its code made of that, and not for ever."""
    runs = 0
    while True:
        runs += 1
        one = PostgresTransaction(it.writer, reader or it.reader, it.loader, saga, "me")
        try:
            async with one:
                await body(one)
                return Ran(runs, await one.commit(step_commit(saga, 1, event("order-1"))))
        except Exception as error:
            if one.interrupted is None:
                return Ran(runs, error)
            if runs >= min(one.interrupted.tries or most, most):
                return Ran(runs, one.interrupted)


def left(sql: Sql) -> tuple[object, ...] | None:
    """What the step has left: its own row, notes, and events."""
    return sql.execute(
        "select (select held from public.stock where sku = 'apple'), (select count(*) from public.notes),"
        " (select count(*) from amends.events where stream = 'order-1')"
    ).fetchone()


def noting(n: int | None = None, once: int | None = None, long: str | None = None) -> Body:
    async def body(one: PostgresTransaction) -> None:
        await one.execute(HOLD, None)
        await one.execute(NOTE, {"n": n, "once": once, "long": long})

    return body


def asking(statement: str) -> Body:
    async def body(one: PostgresTransaction) -> None:
        await one.execute(HOLD, None)
        await one.execute(statement, None)

    return body


def swallowing(body: Body) -> Body:
    """A step whose code catches whatever there is, and goes on."""

    async def other(one: PostgresTransaction) -> None:
        with suppress(Exception):
            await body(one)
        with suppress(Exception):
            await one.execute("select 1", None)
        with suppress(Exception):
            await one.load(orders, "1")

    return other
