"""A deploy, as docs/deploying.md has it: two checkouts on one database, under load, there and back again."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from tests.amends.harness.program import environment_of
from tests.example.crash.ledger import doubled_keys, net_effects
from tests.example.server import ROOT, Server, wait_for

LEASE = 2
DONE = {"hold": 1, "charge": 1, "book": 1}
SLOW = {"sku": "SLOW-boat"}
MIGRATION = '''"""A column more."""

from alembic import op

revision = "example_2"
down_revision = "sandbox_1"
oldest_server = "sandbox_1"


def upgrade() -> None:
    op.execute("alter table sandbox.calls add column if not exists note text")
'''
RAN = """
select distinct metadata ->> 'executor' from amends.events
 where stream = any (%s) and type like 'step-%%' and metadata ->> 'executor' is not null"""


def run(folder: Path, url: URL, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the code in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "amends", *arguments],
        cwd=folder,
        env=environment_of(url),
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which place-order has a version 2, with a step of another name, and the database a column more."""
    folder = tmp_path_factory.mktemp("newer") / "checkout"
    subprocess.run(["git", "clone", "--quiet", "--shared", str(ROOT), str(folder)], check=True)
    nowhere = URL.create("postgresql", host="127.0.0.1", port=1, database="nowhere")
    made = run(folder, nowhere, "workflows", "version", "place-order")
    assert "place-order:2 is in workflows/place_order.py" in made.stdout, made.stderr
    file = folder / "workflows" / "place_order.py"
    file.write_text(file.read_text().replace("charge_card", "take_payment"))
    (folder / "migrations" / "versions" / "example_2.py").write_text(MIGRATION)
    return folder


@contextmanager
def load(server: Server, ids: list[str]) -> Iterator[None]:
    """Orders that are placed one after the other meanwhile; each must be accepted."""
    over, refused = threading.Event(), list[str]()

    def place() -> None:
        while not over.wait(0.1):
            id = f"load-{len(ids)}"
            answer = server.place_order(id)
            ids.append(id)
            if answer.status_code != 202:
                refused.append(answer.text)

    thread = threading.Thread(target=place)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert refused == []


def transfer(server: Server, id: str) -> None:
    """A transfer that waits for an approval."""
    for account in ("a", "b"):
        server.post("/accounts", {"account_id": account, "owner": "Ann", "currency": "EUR", "opening_balance": 900_000})
    asked = {"transfer_id": id, "from_account": "a", "to_account": "b", "amount": 500_000, "currency": "EUR"}
    assert server.post("/workflows/transfer-money?wait=10", asked, Idempotency_Key=id).json()["status"] == "waiting"


def versions(server: Server, ids: list[str]) -> set[int]:
    return {server.get(f"/workflows/{id}")["version"] for id in ids}


def executors(sql: psycopg.Connection, ids: list[str]) -> set[str]:
    """Who ran steps of these sagas."""
    return {str(each) for (each,) in sql.execute(RAN, ([f"saga-{id}" for id in ids],)).fetchall()}


def test_old_and_new_code_serve_side_by_side_and_the_way_back_is_open(database_18: URL, newer: Path) -> None:
    command = ("sh", "-c", 'cd "$0" && exec "$@"', str(newer), sys.executable, "-m", "amends", "up")
    with (
        Server(database_18, lease_seconds=LEASE) as provider,
        Server(database_18, lease_seconds=LEASE) as old,
        psycopg.connect(conninfo(database_18), autocommit=True) as sql,
    ):
        books = f"{provider.start().base}/sandbox"
        old.environment["AMENDS_PROVIDER_URL"] = books
        before, during, since = [f"before-{n}" for n in range(4)], list[str](), [f"since-{n}" for n in range(4)]
        old.start()
        for id in before:
            assert old.place_order(id, **SLOW).status_code == 202
        transfer(old, "waits")
        checked = run(newer, database_18, "workflows", "check", "--json")
        assert checked.returncode == 0, checked.stdout + checked.stderr
        report = json.loads(checked.stdout)
        assert report["fits"] == report["instances"] >= 1, "one waits for its approval in any case"
        assert "1 migrations fit the schema" in run(newer, database_18, "schema", "try-migrations").stdout

        with Server(database_18, lease_seconds=LEASE, provider_url=books) as new:
            with load(old, during):
                new.start(command=command)  # it migrates while the old one serves
                for id in since:
                    assert new.place_order(id, **SLOW).json()["version"] == 2
            for id in (*before, *during, *since):
                assert new.saga_when_back(id)["status"] == "completed"
                assert net_effects(sql, id) == DONE
            assert versions(old, [*before, *during]) == {1}
            assert executors(sql, since) == {new.get("/healthz")["executor"]}, "who has no version 2 runs none"

            left = [f"left-{n}" for n in range(3)]
            for id in left:
                assert new.place_order(id, **SLOW).json()["version"] == 2
            new.kill()
            stranded = "no running server has code for place-order version 2"
            wait_for(
                lambda: [old.get(f"/workflows/{id}")["reason"] for id in left] == [stranded] * 3, "they say what for"
            )
            assert {old.get(f"/workflows/{id}")["status"] for id in left} == {"stranded"}
            assert f"left-0 (place-order:2) is stranded: {stranded}" in provider.said + old.said
            assert old.place_order("back").json()["version"] == 1, "the way back is open"
            assert old.saga_when_back("back")["status"] == "completed"
            old.stop()
            assert old.start().get("/healthz")["executor"], "the older code starts on the newer schema too"

            new.start(command=command)
            for id in left:
                wait_for(lambda: new.saga(id)["status"] == "completed", "it goes on where its version is")  # noqa: B023
                assert net_effects(sql, id) == DONE
        assert doubled_keys(sql) == 0
