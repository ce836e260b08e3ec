"""Every code block of the README and the docs is executed, and its output is what stands there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.amends.postgres.embedded.server import EmbeddedPostgres
from tests.amends.docs.blocks import HOW_TO, PAGES, Block, every_block, run_commands
from tests.amends.harness import ROOT
from tests.amends.harness.databases import fresh_database
from tests.amends.harness.server import Server

QUOTED = [block for block in every_block() if block.option.startswith("file=")]
PYTHON = [block for block in every_block() if block.language == "python" and not block.option]


@pytest.fixture(scope="module")
def server(postgres_18: EmbeddedPostgres) -> Iterator[Server]:
    with Server(fresh_database(postgres_18)) as server:
        yield server.start()


def test_only_known_kinds_of_blocks_are_used() -> None:
    known = {"sh", "python", "sql", "text", "toml"}
    others = [block for block in every_block() if block.language not in known]
    assert [block.where for block in others if not block.option.startswith(("file=", "project="))] == []


@pytest.mark.parametrize("block", QUOTED, ids=lambda block: block.where)
def test_a_quoted_file_is_quoted_whole_and_as_it_is(block: Block) -> None:
    assert block.text == (ROOT / block.option.removeprefix("file=")).read_text()


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.where)
def test_python_blocks_run(block: Block) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block.text],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_command_that_serves_serves(server: Server) -> None:
    (block,) = (block for block in every_block() if block.option == "serve")
    assert block.text == "./run up\n"
    with Server(None) as other:
        other.environment = server.environment
        assert other.start(command=["./run", "up"]).get("/readyz")["status"] == "ready"


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent != HOW_TO], ids=lambda page: page.name)
def test_commands_run_and_say_what_is_written(page: Path, server: Server) -> None:
    run_commands(page, server)
