"""What must be true after a fault, counted from the database, the provider's books, the servers and their followers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from tests.example.crash.ledger import doubled_keys, net_effects
from tests.example.server import Server, wait_for
from tests.example.soak.patroni.load import ACCOUNTS, OPENING, Load

STEPS = {
    ("transfer-money", "completed"): ["debit_account", "credit_account"],
    ("place-order", "completed"): ["open_order", "hold_stock", "charge_card", "book_courier", "confirm_order"],
    ("place-order", "compensated"): ["open_order", "hold_stock", "charge_card"],
}
"""Which steps a saga has completed, in order, by its name and how it ended."""
LEDGER = """
select stream, coalesce(sum(case type
         when 'account-opened' then (data ->> 'opening_balance')::bigint
         when 'money-deposited' then (data ->> 'amount')::bigint
         when 'money-received' then (data ->> 'amount')::bigint
         when 'money-returned' then (data ->> 'amount')::bigint
         when 'money-sent' then -(data ->> 'amount')::bigint end), 0)::bigint, max(version)
  from amends.events where stream like 'account-%' group by stream"""
MOVES = """
select data ->> 'transfer_id', type, count(*) from amends.events
 where type in ('money-sent', 'money-received', 'money-returned') group by 1, 2"""
DONE = """
select substr(stream, 6), array_agg(data ->> 'step' order by version) from amends.events
 where stream like 'saga-%' and type = 'step-completed' group by 1"""
GAPS = """
select count(*) from (select version - lag(version, 1, 0) over (partition by stream order by version) as step
                        from amends.events) as each where step <> 1"""
DBOS = """
select coalesce(s.id, w.workflow_uuid), s.status, w.status
  from amends.sagas as s full join dbos.workflow_status as w on w.workflow_uuid = s.id"""
FEED = "select id::text from amends.events order by generation, transaction_id, position"
AS_DBOS = {"completed": "SUCCESS", "compensated": "ERROR"}
SETTLE_SECONDS = 150.0


def settle(sql: psycopg.Connection) -> Iterator[str]:
    """Wait until every saga has ended; names those that have not."""
    open_ = "select id, name, status, coalesce(reason, '') from amends.sagas where finished_at is null"
    until = time.monotonic() + SETTLE_SECONDS
    while (found := sql.execute(open_).fetchall()) and time.monotonic() < until:
        time.sleep(0.2)
    for id, name, status, reason in found:
        yield f"{name} {id} is {status} after {SETTLE_SECONDS:g} s: {reason[:200]}"


def gone(sql: psycopg.Connection, load: Load) -> tuple[list[str], list[str]]:
    """The sagas that were acknowledged and are not there, and the payments."""
    there = {str(id) for (id,) in sql.execute("select id from amends.sagas").fetchall()}
    paid = {str(key) for (key,) in sql.execute("select key from amends.requests").fetchall()}
    return sorted(set(load.placed) - there), sorted(set(load.deposited) - paid)


def losses(sql: psycopg.Connection) -> Iterator[str]:
    """That events are gone is on record, for doctor and for whoever comes with an earlier token."""
    if sql.execute("select count(*) from amends.losses").fetchone() == (0,):
        yield "events are gone, and that is not on record"


def sagas(sql: psycopg.Connection, load: Load, went_back: bool) -> Iterator[str]:
    """Every saga has ended as it should, and has done each step before the next.

    One that runs again after history went back finds out earlier that it was compensated: its provider remembers.
    """
    rows = sql.execute("select id, name, status from amends.sagas").fetchall()
    done: dict[str, list[str]] = dict(sql.execute(DONE).fetchall())
    for id, name, status in rows:
        placed = load.placed.get(id)
        if placed and status != placed.status:
            yield f"{name} {id} is {status}, not {placed.status}"
        wanted = STEPS.get((name, status))
        taken = done.get(id, [])
        if wanted is not None and taken != (wanted[: len(taken)] if went_back and status == "compensated" else wanted):
            yield f"{name} {id} is {status} with the steps {taken}"
    holes = sql.execute(GAPS).fetchone()
    if holes != (0,):
        yield f"streams have {holes} gaps in their versions"


def money(sql: psycopg.Connection, load: Load, paid_in: int) -> Iterator[str]:
    """What is in the accounts is what was paid in; a transfer has both its sides or none."""
    ledger = {str(stream): (int(balance), int(version)) for stream, balance, version in sql.execute(LEDGER).fetchall()}
    total = sum(balance for balance, _ in ledger.values())
    if total != OPENING * len(ACCOUNTS) + paid_in:
        yield f"the accounts hold {total}, and {OPENING * len(ACCOUNTS) + paid_in} was paid in"
    moves: dict[str, Counter[str]] = {}
    for id, type, count in sql.execute(MOVES).fetchall():
        moves.setdefault(str(id), Counter())[str(type)] = count
    status: dict[str, str] = dict(
        sql.execute("select id, status from amends.sagas where name = 'transfer-money'").fetchall()
    )
    for id in set(moves) | set(status):
        wanted = {"money-sent": 1, "money-received": 1} if status.get(id) == "completed" else {}
        if dict(moves.get(id, {})) != wanted:
            yield f"transfer {id} is {status.get(id, 'not there')} and has {dict(moves.get(id, {}))}"


def effects(books: psycopg.Connection, load: Load) -> Iterator[str]:
    """What the provider did, which never went away: each order's once, and nobody else's."""
    orders = {id: placed for id, placed in load.placed.items() if placed.path.endswith("place-order")}
    for id, placed in orders.items():
        if (found := net_effects(books, id)) != placed.effects:
            yield f"order {id} ({placed.status}) has the effects {found}"
    if doubled := doubled_keys(books):
        yield f"{doubled} keys have more than one effect"
    twice = """select reference, operation, count(*) from sandbox.effects group by 1, 2 having count(*) > 1"""
    for reference, operation, count in books.execute(twice).fetchall():
        yield f"order {reference} has {count} of {operation}, under different keys"
    known = {str(id) for (id,) in books.execute("select distinct reference from sandbox.effects").fetchall()}
    for id in known - set(orders):
        yield f"the provider did something for {id}, which nobody ordered"


def dbos(sql: psycopg.Connection) -> Iterator[str]:
    """DBOS has the same workflows, and they stand as ours do."""

    def differing() -> list[Any]:
        rows = sql.execute(DBOS).fetchall()
        return [row for row in rows if row[1] is None or AS_DBOS.get(row[1], "PENDING") != row[2]]

    until = time.monotonic() + 30
    while (found := differing()) and time.monotonic() < until:
        time.sleep(0.2)
    for id, ours, theirs in found:
        yield f"workflow {id} is {ours} for us and {theirs} for DBOS"


def servers(sql: psycopg.Connection, running: Sequence[Server]) -> Iterator[str]:
    """Each server answers what is in the database, whatever it remembers."""
    ledger = {str(stream): (int(balance), int(version)) for stream, balance, version in sql.execute(LEDGER).fetchall()}
    ended: dict[str, str] = dict(sql.execute("select id, status from amends.sagas").fetchall())
    for server in running:
        for account in ACCOUNTS:
            found = server.get(f"/accounts/{account}")
            if (found["balance"], found["version"]) != ledger[f"account-{account}"]:
                yield f"port {server.port} shows {found} for {ledger[f'account-{account}']}"
        shown = {each["id"]: each["status"] for each in _all_sagas(server)}
        for id in sorted(set(shown) ^ set(ended)):
            yield f"port {server.port} and the database do not agree that there is {id}"
        for id in set(shown) & set(ended):
            if shown[id] != ended[id]:
                yield f"port {server.port} shows {id} as {shown[id]}, and it is {ended[id]}"


def _all_sagas(server: Server) -> Iterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    while True:
        page = server.get("/workflows", limit=500, **cursor)
        yield from page["workflows"]
        if page["next"] is None:
            return
        cursor = {"cursor": page["next"]}


def read_models(server: Server) -> Iterator[str]:
    """Each read model that has a table has the same rows as one that is made anew."""
    for name in ("order_board", "account_balances", "workflow_overview"):
        assert server.post(f"/projections/{name}/rebuild").status_code == 202
        wait_for(lambda name=name: _rebuilt(server, name), f"{name} is rebuilt", 90)  # type: ignore[misc]
        found = server.get(f"/projections/{name}/verify")
        if found["differing"]:
            rows = f"{found['differing']} of {found['rows']} rows"
            yield f"{name} differs from its rebuild in {rows}: {found['examples']}"
        stood = server.get(f"/projections/{name}")
        if stood["lag_events"] or stood["set_aside_keys"] or stood["failure"]:
            yield f"{name} is {stood['status']}, {stood['lag_events']} events behind: {stood['failure']}"


def _rebuilt(server: Server, name: str) -> bool:
    stood = server.get(f"/projections/{name}")
    return bool(stood["rebuild"] and stood["rebuild"]["state"] == "ready")


def feed(sql: psycopg.Connection) -> list[str]:
    return [str(id) for (id,) in sql.execute(FEED).fetchall()]
