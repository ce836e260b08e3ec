"""A database that loses commits it has acknowledged: live servers go on from what is on record, not from memory."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import psycopg

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import parse_url
from tests.example.app.operators.test_went_back import Follower
from tests.example.crash.database.test_postgres_dies import kill
from tests.example.server import Server, http, wait_for
from workflows.amends.ports.event_store import FeedCursor

FORGETFUL = (
    "alter system set synchronous_commit = off",
    "alter system set wal_writer_delay = '10s'",
    "alter system set wal_writer_flush_after = '1GB'",
    "select pg_reload_conf()",
)
"""Commits are on disk seconds after they were answered: a database that dies has lost the last ones."""
ACCOUNTS, MONEY, ROUNDS, MANY = ("a", "b", "c", "d"), 100_000, 4, 40
ENDED = "select count(*) from amends.sagas where status = 'completed'"
MOVED = """
select e.metadata ->> 'workflow_id', count(*) filter (where e.type = 'money-sent'),
       count(*) filter (where e.type = 'money-received')
  from amends.events as e where e.stream like 'account-%%' and e.metadata ->> 'workflow_id' is not null
 group by 1"""
STRANDED = "select count(*) from amends.events where type = 'saga-stranded'"
NEWEST = "select amends.place_token(position) from amends.events order by generation desc, transaction_id desc limit 1"
HOLES = """
select e.stream from amends.events as e where e.stream like 'saga-%%'
 group by e.stream having count(*) <> max(e.version)"""


def transfer(number: int) -> dict[str, object]:
    giver, taker = ACCOUNTS[number % 4], ACCOUNTS[(number + 1 + number // 4 % 3) % 4]
    return {"transfer_id": f"t-{number}", "from_account": giver, "to_account": taker, "amount": 7, "currency": "EUR"}


def until_taken(server: Server, path: str, key: str, body: dict[str, object]) -> None:
    """Send again until it is taken, as a client does; what was lost since then is taken anew."""

    def taken() -> bool:
        try:
            answer = http.post(f"{server.base}{path}", json=body, headers={"Idempotency-Key": key}, timeout=60)
        except httpx.TransportError:
            return False
        return answer.is_success

    wait_for(taken, f"{key} is taken", 120)


@contextmanager
def load(server: Server, keys: range) -> Iterator[None]:
    """Transfers from several clients at once, while something else happens."""
    with ThreadPoolExecutor(8) as clients:
        sent = [clients.submit(until_taken, server, "/workflows/transfer-money", f"t-{n}", transfer(n)) for n in keys]
        yield
        for each in sent:
            each.result()


def test_nobody_goes_on_from_commits_that_are_lost(cluster: EmbeddedPostgres) -> None:
    url = parse_url(cluster.url)
    with psycopg.connect(cluster.url, autocommit=True) as sql:
        for statement in FORGETFUL:
            sql.execute(statement)
    with Server(url) as one, Server(url) as two:
        one.start()
        two.start()
        for account in ACCOUNTS:
            body = {"account_id": account, "owner": account, "currency": "EUR", "opening_balance": MONEY}
            until_taken(one, "/accounts", f"open-{account}", body)
        follower, lost = Follower(one.base), 0
        for round in range(ROUNDS):
            with load((one, two)[round % 2], range(round * MANY, round * MANY + MANY)):
                enough = completed(cluster) + MANY // 4
                wait_for(lambda enough=enough: completed(cluster) >= enough, "some have completed")  # type: ignore[misc]
                flush(cluster)
                seen = newest(cluster)
                kill(cluster)
                cluster.start()
                wait_for(cluster.answers, "Postgres is back")
                lost += len(seen - newest(cluster))
        assert lost > 0, "nothing was lost, and nothing is shown by that"
        for number in range(ROUNDS * MANY):  # of those that were acknowledged some starts are lost as well
            until_taken(one, "/workflows/transfer-money", f"t-{number}", transfer(number))
        with psycopg.connect(cluster.url, autocommit=True) as sql:
            wait_for(lambda: sql.execute(ENDED).fetchone() == (ROUNDS * MANY,), "all are completed", 60)
            moved = {id: (out, into) for id, out, into in sql.execute(MOVED).fetchall()}
            assert moved == {f"t-{number}": (1, 1) for number in range(ROUNDS * MANY)}
            assert sql.execute(HOLES).fetchall() == []
            assert sql.execute(STRANDED).fetchone() == (0,)
            written = sql.execute(NEWEST).fetchone()
        assert written is not None
        wait_for(lambda: kept(follower) == everything(two), "whoever follows has what stands, and nothing else", 30)
        assert follower.told or {each.data["id"] for each in follower.sent} <= {*everything(two)}
        for account in ACCOUNTS:
            row = two.get(f"/views/account_balances/{account}", after_position=written[0])
            assert row["balance"] == two.get(f"/accounts/{account}")["balance"]
        balances = [http.get(f"{one.base}/accounts/{account}").json()["balance"] for account in ACCOUNTS]
        assert sum(balances) == MONEY * len(ACCOUNTS)
        assert "stranded" not in one.said + two.said
        assert not one.ended()
        assert not two.ended()


def kept(follower: Follower) -> list[str]:
    """The ids of the events that a follower has in the end: what comes after the place that it is told to go back to is
    dropped, and comes again."""
    found: list[tuple[FeedCursor, str]] = []
    for each in list(follower.sent):
        place = FeedCursor.parse(each.id)
        assert place is not None
        if each.type:
            found = [known for known in found if known[0] <= place]
        else:
            found.append((place, each.data["id"]))
    return [id for _, id in found]


def everything(server: Server) -> list[str]:
    """The ids of all events, in the order of the feed."""
    found, after = list[str](), "0"
    while page := server.get("/events", after=after, limit=1000)["events"]:
        found += [each["id"] for each in page]
        after = page[-1]["position"]
    return found


def completed(cluster: EmbeddedPostgres) -> int:
    with psycopg.connect(cluster.url, autocommit=True) as sql:
        row = sql.execute(ENDED).fetchone()
        return row[0] if row else 0


def flush(cluster: EmbeddedPostgres) -> None:
    """What was committed so far stands: sagas are in the middle of their steps then."""
    with psycopg.connect(cluster.url, autocommit=True) as sql:
        sql.execute("set synchronous_commit = on")
        sql.execute("select pg_logical_emit_message(true, 'test', 'what was before stands')")


def newest(cluster: EmbeddedPostgres) -> set[object]:
    """The ids of all events, after some more were written."""
    with psycopg.connect(cluster.url, autocommit=True) as sql:
        sql.execute("select pg_sleep(0.03)")
        return {id for (id,) in sql.execute("select id from amends.events").fetchall()}
