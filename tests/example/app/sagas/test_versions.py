"""A saga gets a new version while transfers wait: some go on with the old one, some are moved, and the old one goes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from tests.amends.harness.databases import fresh_database
from tests.amends.harness.program import environment_of
from tests.example.app.sagas.test_transfers import approve, balances, rests, transfer
from tests.example.server import ROOT, Server, problem

CODE = ("app", "domain", "migrations", "workflows")
WHY = "deposits are told by another name"
RENAMED = ("credit_account", "deposit_money")
SHOWN = (
    "select s.version, (i.inputs::json -> 'namedArgs' ->> 'version')::int from amends.sagas as s"
    " join dbos.workflow_input as i on i.workflow_uuid = s.id where s.id = %s"
)


class Checkout:
    """A copy of the code, which a team goes on with."""

    def __init__(self, folder: Path, url: Any) -> None:
        self.folder, self._environment = folder, environment_of(url, approval_limit=100)
        for each in CODE:
            shutil.copytree(ROOT / each, folder / each, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "amends.py", folder)
        self.serve = ("sh", "-c", 'cd "$0" && exec "$@"', str(folder), sys.executable, "-m", "amends", "up")

    def amends(self, *command: str, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "amends", *command],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def change(self, name: str, *changes: tuple[str, str]) -> None:
        file = self.folder / "workflows" / name
        text = file.read_text()
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        file.write_text(text)


def old_version(checkout: Checkout, status: int = 0) -> Any:
    (found,) = json.loads(checkout.amends("workflows", "check", "--json", status=status))["old_versions"]
    return found


def names(saga: Any) -> list[str]:
    return [step["name"] for step in saga["steps"]]


def test_a_new_version_from_its_first_line_to_the_end_of_the_old_one(
    postgres_18: EmbeddedPostgres, tmp_path: Path
) -> None:
    url = fresh_database(postgres_18)
    with Server(url, approval_limit=100) as server:
        stays, moved, told, early = (transfer(server.start() if not n else server, 500) for n in range(4))
        for id in (stays, moved, told, early):
            server.saga(id)
        checkout = Checkout(tmp_path, url)
        said = checkout.amends("workflows", "version", "transfer-money")
        assert said.splitlines()[-1] == "Sagas that are not finished and need version 1: 4."
        checkout.change("transfer_money.py", RENAMED)
        assert old_version(checkout)["servers"] == 1
        server.stop()
        assert "transfer-money: 4 would be moved to version 2." in checkout.amends(
            "workflows", "migrate", "transfer-money", "--to", "2", "--dry-run"
        )
        said = checkout.amends(
            "workflows", "migrate", "transfer-money", moved, early, moved, "--to", "2", "--reason", WHY
        )
        assert said == "transfer-money: 2 moved to version 2.\n"
        with psycopg.connect(conninfo(url)) as sql:
            assert sql.execute(SHOWN, (moved,)).fetchone() == (2, 2)

        server.start(command=checkout.serve)
        assert server.saga(moved)["version"] == 2
        path = f"/workflows/{told}/migrate"
        other = {"version": 2, "reason": WHY}
        dry = server.post(f"{path}?dry_run=true", other)
        assert (dry.status_code, dry.json()) == (200, {"id": told, "from_version": 1, "version": 2})
        first = server.post(path, other, Idempotency_Key="move-1", X_Actor="ann")
        assert (first.status_code, first.json()["act"]) == (202, "migrate")
        assert server.post(path, other, Idempotency_Key="move-1").json() == first.json()
        assert "is of version 2 already" in problem(server.post(path, other), 409, "conflict-version")["detail"]
        problem(server.post(path, other | {"version": 9}), 422, "invalid")
        problem(server.post("/workflows/nothing/migrate", other), 404, "not-found")

        for id in (stays, moved, told, early):
            approve(server, id)
            assert names(rests(server, id, "completed"))[-1] == ("credit_account" if id == stays else "deposit_money")
            assert balances(server, id) == [500, 500]
        assert "is completed" in problem(server.post(path, other), 409, "conflict-version")["detail"]
        events = server.get(f"/workflows/{told}/events")["events"]
        (move,) = [each for each in events if each["type"] == "saga-migrated"]
        assert move["data"] == {"from_version": 1, "to_version": 2, "reason": WHY}
        assert move["metadata"]["actor"] == "ann"
        assert f"from version 1 to 2: {WHY}" in checkout.amends("workflows", "show", told, "--events")
        found = old_version(checkout)
        assert (found["deletable"], found["file"]) == (True, "workflows/transfer_money_v1.py")
        assert "transfer-money:1  nobody needs it any more: delete workflows/transfer_money_v1.py" in checkout.amends(
            "workflows", "check"
        )


def test_one_that_does_not_fit_stays_and_is_named(postgres_18: EmbeddedPostgres, tmp_path: Path) -> None:
    url = fresh_database(postgres_18)
    with Server(url, approval_limit=100) as server:
        id = transfer(server.start(), 500)
        server.saga(id)
        checkout = Checkout(tmp_path, url)
        checkout.amends("workflows", "version", "transfer-money")
        checkout.change("transfer_money.py", ("debit_account", "take_money"))
        said = checkout.amends("workflows", "migrate", "transfer-money", "--to", "2", "--reason", WHY, status=1)
        step = "step 1 is recorded as debit_account, but the code here does take_money"
        why = f"1 not, which does not fit version 2: {step}"
        assert [line.strip() for line in said.splitlines()] == ["transfer-money: 0 moved to version 2.", why, id]
        said = checkout.amends("workflows", "migrate", "transfer-money", "--to", "2", "--dry-run", "--json", status=1)
        assert json.loads(said)["kept"][0]["examples"] == [id]
