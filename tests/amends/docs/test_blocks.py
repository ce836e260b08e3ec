"""Every code block of the README and the docs is executed, and its output is what stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from app.amends.postgres.embedded.server import EmbeddedPostgres
from tests.amends.harness.databases import fresh_database
from tests.amends.harness.server import ROOT, Server

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\S*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVED = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    option: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(page, text[: found.start()].count("\n") + 1, found[1], found[2].strip(), found[3])
        for found in BLOCK.finditer(text)
    ]


def of(language: str, option: str = "") -> list[Block]:
    found = [block for page in PAGES for block in blocks(page)]
    return [block for block in found if block.language == language and block.option.startswith(option)]


QUOTED = [block for page in PAGES for block in blocks(page) if block.option.startswith("file=")]


@pytest.fixture(scope="module")
def server(postgres_18: EmbeddedPostgres) -> Iterator[Server]:
    with Server(fresh_database(postgres_18)) as server:
        yield server.start()


def shell(text: str, server: Server) -> str:
    done = subprocess.run(
        ["sh", "-eu", "-c", text.replace(SERVED, server.base)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=server.environment | {"COLUMNS": "200"},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def masked(text: str) -> str:
    """Output without what differs each time: ids, process numbers, times, and how wide columns are."""
    text = re.sub(r"\S+-\d+-[0-9a-f]{8}\b", "EXECUTOR", text)
    text = re.sub(r"demo-[0-9a-f]{8}", "ORDER", text)
    text = re.sub(r"\d+(\.\d+)?", "0", text)
    return re.sub(r"\s+", " ", text).strip()


def test_only_known_kinds_of_blocks_are_used() -> None:
    known = {"sh", "python", "sql", "text"}
    others = [block for page in PAGES for block in blocks(page) if block.language not in known]
    assert [block.where for block in others if not block.option.startswith("file=")] == []


@pytest.mark.parametrize("block", QUOTED, ids=lambda block: block.where)
def test_a_quoted_file_is_quoted_whole_and_as_it_is(block: Block) -> None:
    assert block.text == (ROOT / block.option.removeprefix("file=")).read_text()


@pytest.mark.parametrize("block", [b for b in of("python") if not b.option], ids=lambda block: block.where)
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
    (block,) = of("sh", "serve")
    assert block.text == "./run up\n"
    with Server(None) as other:
        other.environment = server.environment
        assert other.start(command=["./run", "up"]).get("/readyz")["status"] == "ready"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_run_and_say_what_is_written(page: Path, server: Server) -> None:
    said = ""
    for block in blocks(page):
        if block.language == "sh" and block.option != "serve":
            said = shell(block.text, server)
        elif block.language == "sql":
            with psycopg.connect(server.environment["DATABASE_URL"]) as connection:
                connection.execute(block.text.encode()).fetchall()
        elif block.language == "text":
            assert masked(said) == masked(block.text), block.where


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*PAGES, *sorted((ROOT / "docs" / "decisions").glob("*.md"))]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
