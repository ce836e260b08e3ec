"""An event gets another name and more fields: while both servers run, each masks what the other one wrote.

And the newer one has migrated the database, to a schema on which the older one may start again.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import psycopg

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from tests.amends.harness.databases import MIGRATIONS, fresh_database
from tests.example.server import ROOT, Server, http

CODE = ("app", "domain", "migrations", "workflows")

BEFORE = """@event("account-opened")
class AccountOpened:
    account_id: str
    owner: Annotated[str, PERSONAL]
    currency: str
    opening_balance: int
"""
AFTER = """@event("account-begun", version=2)
class AccountOpened:
    account_id: str
    owner: Annotated[str, PERSONAL]
    currency: str
    opening_balance: int
    pin: Annotated[str, SECRET] = "pin 4711"
    note: str = "a note"


@upcasts(AccountOpened, 1, name="account-opened", to=("account-begun", 1))
def _rename(data: Payload) -> Payload:
    return data


@upcasts(AccountOpened, 1)
def _add(data: Payload) -> Payload:
    return data | {"pin": "pin 0815", "note": ""}
"""

OURS = max(each for each in MIGRATIONS.newest_revisions() if each.isdigit())
MIGRATION = f'''"""A table more."""

from alembic import op

revision = "9999"
down_revision = "{OURS}"
oldest_server = "{OURS}"


def upgrade() -> None:
    op.execute("create table amends.more (n int)")
'''
FUNCTION = "comment on function amends.as_of() is 'of the newer version';\n"
RIGHT = "grant insert on amends.more to amends_service;\n"
APPLIED = """
select obj_description('amends.as_of()'::regprocedure, 'pg_proc'),
       has_table_privilege('amends_service', 'amends.more', 'insert')"""


def newer_code(folder: Path) -> tuple[str, ...]:
    """A copy of the code, changed; returns what starts a server of it."""
    for each in CODE:
        shutil.copytree(ROOT / each, folder / each, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "amends.py", folder)
    ours = folder / "migrations" / "amends"
    (ours / "versions" / "9999_more.py").write_text(MIGRATION)
    for name, more in (("functions/as_of.sql", FUNCTION), ("rights.sql", RIGHT)):
        (ours / name).write_text((ours / name).read_text() + more)
    file = folder / "domain" / "banking" / "account.py"
    code = file.read_text()
    assert BEFORE in code
    code = code.replace(BEFORE, AFTER).replace("import PERSONAL\n", "import PERSONAL, SECRET\n")
    file.write_text(
        code.replace(
            "from domain.amends.event import event\n", "from domain.amends.event import Payload, event, upcasts\n"
        )
    )
    return ("sh", "-c", 'cd "$0" && exec "$@"', str(folder), sys.executable, "-m", "amends", "up")


def opened(server: Server, id: str) -> Any:
    opening = {"account_id": id, "owner": "Ann Private", "currency": "EUR", "opening_balance": 5}
    answer = server.post("/accounts", opening)
    assert answer.status_code == 201, answer.text
    return answer.json()


def first(server: Server, id: str) -> Any:
    return server.get(f"/streams/account-{id}")["events"][0]


def test_each_server_masks_what_the_other_one_wrote_and_waits_for_it(
    postgres_18: EmbeddedPostgres, tmp_path: Path
) -> None:
    url = fresh_database(postgres_18)
    with Server(url) as old, Server(url) as new:
        opened(old.start(), "x")
        new.start(command=newer_code(tmp_path))
        begun = opened(new, "y")
        assert first(new, "y")["type"] == "account-begun"
        for server in (old, new):
            event = first(server, "y")
            hidden = {"owner": "***", "pin": "***"}
            assert event["masked"] == "marked"
            assert (
                event["data"] == {"account_id": "y", "currency": "EUR", "opening_balance": 5, "note": "a note"} | hidden
            )
            assert first(server, "x")["data"]["owner"] == "***"
            text = http.get(f"{server.base}/events", params={"limit": 1000}).text
            assert "Ann Private" not in text
            assert "4711" not in text
            row = server.get("/views/account_balances/y", after_position=begun["position"], timeout=60)
            assert (row["owner"], row["balance"]) == ("***", 5)
        new.stop()
        old.stop()
        old.start()
        assert "The schema is 9999, sandbox_1, of a newer version, which this one" in old.said
        with psycopg.connect(conninfo(url)) as sql:
            assert sql.execute(APPLIED).fetchone() == ("of the newer version", True)
        assert (first(old, "y")["data"]["pin"], first(old, "y")["masked"]) == ("***", "marked")
        assert first(old, "y")["data"]["note"] == "a note", "what is known and not marked is shown"
