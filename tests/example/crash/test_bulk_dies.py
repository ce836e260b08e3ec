"""The server that works off an act on many sagas is killed: another one goes on with it, and each is acted on once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psycopg
from sqlalchemy import URL

from tests.example.crash.ledger import doubled_keys, net_effects
from tests.example.server import Server, wait_for

ORDERS = [f"o-{number}" for number in range(80)]
ACTED = "select count(*) from amends.events where type = 'operator-acted' and stream = %s"


def stuck(server: Server, sql: psycopg.Connection) -> None:
    """All orders are stuck, for none can be refunded."""

    def place(order: str) -> None:
        server.place_order(order, token="tok_refund_fails", postcode="00000")

    with ThreadPoolExecutor(8) as clients:
        list(clients.map(place, ORDERS))

    def count() -> int:
        row = sql.execute("select count(*) from amends.sagas where status = 'stuck'").fetchone()
        return int(row[0]) if row else 0

    wait_for(lambda: count() == len(ORDERS), "all of them are stuck", 180)


def test_another_server_goes_on_and_each_saga_is_acted_on_once(database_18: URL, sql_18: psycopg.Connection) -> None:
    with Server(database_18) as server, Server(database_18) as other:
        stuck(server.start(), sql_18)
        server.post("/sandbox/payments/refunds", {"fail": False})
        other.start()
        body = {"filter": {"step": "refund_card"}, "act": "retry", "reason": "open again", "expect": len(ORDERS)}
        begun = server.post("/workflows/bulk", body, Idempotency_Key="all").json()
        assert begun["total"] == len(ORDERS)

        def progress() -> tuple[str, int]:
            row = sql_18.execute("select status, done from amends.bulk_acts where id = %s", (begun["id"],)).fetchone()
            assert row is not None
            return row[0], row[1]

        wait_for(lambda: progress()[1] > 0, "the first batch is recorded")
        server.kill()
        status, done = progress()
        assert (status, 0 < done < len(ORDERS)) == ("running", True)
        wait_for(lambda: progress() == ("completed", len(ORDERS)), "another server has ended it", 120)
        shown = other.get(f"/workflows/bulk/{begun['id']}")
        assert (shown["failed"], shown["moved_on"], shown["left"]) == (0, 0, 0)
        assert other.post("/workflows/bulk", body, Idempotency_Key="all").json() == begun
        for id in ORDERS:
            assert other.saga_when_back(id)["status"] == "compensated"
            assert sql_18.execute(ACTED, (f"saga-{id}",)).fetchone() == (1,)
            assert net_effects(sql_18, id) == {}
        assert doubled_keys(sql_18) == 0
        effects = Counter(row[0] for row in sql_18.execute("select operation from sandbox.effects"))
        assert effects == dict.fromkeys(("hold", "charge", "refund", "release"), len(ORDERS))
