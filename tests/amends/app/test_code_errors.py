"""What is wrong in a team's own files is one sentence with the place, and one with the remedy."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import psycopg
import pytest
from pydantic import Field, model_validator
from sqlalchemy import URL

from app.amends.output.code_errors import team_code
from app.amends.postgres.bootstrap import prepare_database
from app.amends.postgres.database_in_use import make_embedded_postgres
from app.amends.postgres.urls import conninfo
from app.amends.settings import Settings, read_settings
from domain.amends.errors import StartupError
from tests.amends.harness import ROOT
from tests.amends.packaging.wheel import ended

SAGA = """
from dataclasses import dataclass
from workflows.amends.saga import Call, Saga, step

@dataclass(frozen=True)
class Sell(Saga[str, None], name="sell", version=1):
    async def run(self, book: str) -> None:
        await self.pack(book)

    @step
    async def pack(self, call: Call, book: str) -> None: ...
"""


def said_of(folder: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The sentences about a file of the team with this source."""
    file = folder / "workflows" / "sell.py"
    file.parent.mkdir()
    file.write_text(source)
    monkeypatch.chdir(folder)
    spec = importlib.util.spec_from_file_location("workflows.sell", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "workflows.sell", module)
    with pytest.raises(StartupError) as raised, team_code():
        spec.loader.exec_module(module)
    return raised.value.problem, raised.value.remedy


@pytest.mark.parametrize(
    ("source", "problem", "remedy"),
    [
        ("x = 1\ndef f(:\n", ":2: this is no Python, invalid syntax: def f(:", "Correct that line."),
        ("import nothing_like_it", ":1: there is no module 'nothing_like_it'.", "or install the package"),
        ("from workflows.amends.saga import Sage", ":1: cannot import name 'Sage' from", "Correct the name"),
        ("x = 1\nx += {}['y']", ":2: KeyError: 'y'", "nothing was started"),
        ("raise SystemExit(0)", ":1: this ends the program: sys.exit(0)", "Put it into a function"),
        ("raise GeneratorExit", ":1: GeneratorExit: GeneratorExit", "nothing was started"),
        ("x = 1\ny = '\0'", ":2: this file has a NUL byte", "in UTF-8"),
        (SAGA, ":6: Sell.pack: has no compensation: add @pack.compensation", "Correct that declaration."),
    ],
)
def test_a_file_that_cannot_be_imported_is_named_with_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, problem: str, remedy: str
) -> None:
    said, what_to_do = said_of(tmp_path, source, monkeypatch)
    assert said.startswith(f"workflows/sell.py{problem}")
    assert "\n" not in said + what_to_do
    assert remedy in what_to_do


@pytest.mark.parametrize(
    "source",
    ["raise ValueError({0!r})", "raise SystemExit({0!r})", "from os import {0}", "import {0}"],
)
def test_an_error_of_any_length_is_shortened_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    said, _ = said_of(tmp_path, source.format(100_000 * "x"), monkeypatch)
    assert len(said) < 2200
    assert re.search(r"xxx… \(shortened: it has 100\d\d\d characters\)$", said)


def test_a_file_with_a_nul_byte_is_named_and_not_the_one_that_imports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stock").mkdir()
    (tmp_path / "stock" / "shelves.py").write_bytes("high = 1\nlow = 2\n".encode("utf-16-le"))
    monkeypatch.syspath_prepend(tmp_path)
    said, _ = said_of(tmp_path, "import stock.shelves", monkeypatch)
    assert said == "stock/shelves.py:1: this file has a NUL byte, and no Python file may."


def test_errors_of_our_own_are_left_as_they_are() -> None:
    with pytest.raises(KeyError), team_code():
        raise KeyError


@pytest.mark.parametrize(
    ("main", "says"),
    [
        ("import shop_that_is_not", "app/main.py:1: there is no module 'shop_that_is_not'.\n  Correct the name, or"),
        ("service = 1", "app/main.py has no `service`.\n  Give it one: "),
    ],
)
def test_a_composition_that_is_wrong_is_two_lines_and_no_traceback(tmp_path: Path, main: str, says: str) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "main.py").write_text(main)
    done = ended(sys.executable, "-m", "amends", "up", cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert done.returncode == 1
    assert done.stderr.startswith(says)
    assert len(done.stderr.splitlines()) == 2


class Sizes(Settings):
    sizes: list[int] = Field([1], description="sizes that are sold")
    smallest: int = 0

    @model_validator(mode="after")
    def _fitting(self) -> Sizes:
        if self.smallest > min(self.sizes):
            raise ValueError("smallest is above one of the sizes")
        return self


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SIZES", "small", 'error parsing value for field "sizes"'),
        ("SIZES", '["small"]', "AMENDS_SIZES is wrong: "),
        ("SMALLEST", "7", "The settings do not fit together: smallest is above one of the sizes."),
        ("SMALLEST", "x", "AMENDS_SMALLEST is wrong: "),
    ],
)
def test_settings_of_a_team_that_are_wrong_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(f"AMENDS_{name}", value)
    with pytest.raises(StartupError) as raised:
        read_settings(Sizes, tmp_path)
    assert raised.value.problem.startswith(says)
    assert raised.value.remedy


MIGRATION = """
from alembic import op

revision = "shop_1"
down_revision = None


def upgrade() -> None:
    op.execute("{sql}")
"""


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (MIGRATION.format(sql="create table nowhere.things ()"), r":9: InvalidSchemaName: schema \"nowhere\" does not"),
        (MIGRATION + "    def", r":10: this is no Python, "),
    ],
)
def test_a_migration_that_fails_is_named_with_its_line(
    database_18: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, says: str
) -> None:
    folder = tmp_path / "migrations" / "versions"
    folder.mkdir(parents=True)
    (folder / "shop_1.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    with psycopg.connect(conninfo(database_18), autocommit=True) as sql:
        sql.execute("delete from amends.alembic_version where version_num not like '0%'")  # of another project
    with pytest.raises(StartupError) as raised:
        prepare_database(database_18, None, tmp_path)
    assert re.match(f"migrations/versions/shop_1.py{says}", raised.value.problem)
    assert "\n" not in raised.value.problem


def test_a_folder_without_a_postgres_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="There is no program postgres in"):
        make_embedded_postgres(tmp_path, tmp_path)


def test_a_signal_to_end_goes_on_through_the_code_of_a_team() -> None:
    with pytest.raises(SystemExit), team_code():
        raise SystemExit(143)
