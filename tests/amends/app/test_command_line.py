"""The command line: what it is given is looked at as closely as over HTTP, and what is wrong is said in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from tests.amends.harness.server import ROOT

TRANSFER = {"transfer_id": "t-1", "from_account": "a", "to_account": "b", "amount": 1, "currency": "EUR"}


def amends(url: URL, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command on a database."""
    environment = os.environ | {"DATABASE_URL": conninfo(url)}
    command = [sys.executable, "-m", "amends", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)


@pytest.mark.parametrize("id", ["é" * 200, "a b", "x" * 129, "n\nERROR a line of somebody else", ""])
def test_an_id_that_is_none_is_refused_in_words(database_18: URL, id: str) -> None:
    said = amends(database_18, "workflows", "start", "transfer-money", json.dumps(TRANSFER), "--id", id)
    assert said.returncode == 1
    assert "id: must be 1 to 128 letters, digits or . _ : -" in said.stderr
    assert "Traceback" not in said.stderr
    listed = amends(database_18, "workflows", "list", "--json")
    assert json.loads(listed.stdout) == []
