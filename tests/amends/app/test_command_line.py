"""The command line: what it is given is looked at as closely as over HTTP, and what is wrong is said in words."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
from sqlalchemy import URL

from app.amends.cli.main import place_of
from domain.amends.errors import DefinitionError, StartupError
from tests.amends.harness.program import amends

TRANSFER = {"transfer_id": "t-1", "from_account": "a", "to_account": "b", "amount": 1, "currency": "EUR"}


@pytest.mark.parametrize("id", ["é" * 200, "a b", "x" * 129, "n\nERROR a line of somebody else", ""])
def test_an_id_that_is_none_is_refused_in_words(database_18: URL, id: str) -> None:
    said = amends("workflows", "start", "transfer-money", json.dumps(TRANSFER), "--id", id, on=database_18)
    assert said.returncode == 1
    assert "id: must be 1 to 128 letters, digits or . _ : -" in said.stderr
    assert "Traceback" not in said.stderr
    listed = amends("workflows", "list", "--json", on=database_18)
    assert json.loads(listed.stdout) == []


@pytest.mark.parametrize(
    "command", [("workflows", "show"), ("workflows", "export"), ("workflows", "version"), ("stream",)]
)
def test_an_argument_that_is_no_text_is_refused_in_words(database_18: URL, command: tuple[str, ...]) -> None:
    said = amends(*command, "a\udcff", on=database_18)
    wrong = f"argument {len(command) + 1}: is no text in UTF-8: 'a\\udcff'"
    assert (said.returncode, said.stderr.strip()) == (1, wrong)


def test_a_sample_of_more_than_any_number_of_sagas_is_refused_in_words(database_18: URL) -> None:
    said = amends("workflows", "export", "--sample", str(10**20), on=database_18)
    assert said.returncode == 2
    assert "Traceback" not in said.stderr


WRONG = """
from workflows.amends.saga import Call, Saga, step


class Buy(Saga[str, str], name="buy"):
    async def run(self, order: str) -> str:
        return order

    @step
    async def charge(self, call: Call) -> None: ...
"""


def test_a_wrong_definition_is_told_with_the_line_of_its_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "buy.py").write_text(WRONG)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DefinitionError, match=r"Buy\.charge: has no compensation") as raised:
        runpy.run_path("workflows/buy.py")
    assert place_of(raised.value) == "workflows/buy.py:5: "
    assert place_of(StartupError("no", "yes")) == ""
