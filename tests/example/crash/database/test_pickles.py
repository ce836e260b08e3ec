"""What stands in DBOS's tables is data: whoever may write a row there has nobody run anything."""

from __future__ import annotations

import base64
import os
import pickle
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from tests.amends.harness.program import amends
from tests.example.server import Server, wait_for

ROW = """
insert into dbos.workflow_status (workflow_uuid, status, name, serialization, queue_name, application_name,
                                  application_version, output)
values (%(id)s, %(status)s, 'place-order', 'py_pickle', '_dbos_internal_queue', 'amends', 'amends', %(output)s)"""
INPUT = "insert into dbos.workflow_input (workflow_uuid, inputs) values (%(id)s, %(input)s)"


class Runs:
    """Leaves a file where it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.file}",)


@pytest.fixture
def left(tmp_path: Path, database_18: URL) -> Path:
    """Rows of two workflows whose values are pickles: one that waits to be run, and one that has ended."""
    file = tmp_path / "ran"
    pickled = base64.b64encode(pickle.dumps(Runs(file))).decode()
    with psycopg.connect(conninfo(database_18), autocommit=True) as sql:
        for id, status, output in (("waits", "ENQUEUED", None), ("ended", "SUCCESS", pickled)):
            asked = {"id": id, "status": status, "output": output, "input": pickled}
            sql.execute(ROW, asked)
            sql.execute(INPUT, asked)
    return file


def test_a_server_runs_no_pickle(database_18: URL, left: Path) -> None:
    with Server(database_18) as server:
        server.start()
        wait_for(lambda: "holds a pickle" in server.said, "it has met the row")
        server.place_order("o-1")
        assert server.saga("o-1")["status"] == "completed", "and goes on"
        assert not left.exists()


@pytest.mark.parametrize("command", [["list"], ["get", "ended"], ["steps", "ended"], ["get", "waits"]])
def test_its_command_line_runs_none(database_18: URL, left: Path, command: list[str]) -> None:
    done = amends("dbos", "workflow", *command, on=database_18)
    assert done.stdout + done.stderr
    assert not left.exists()
