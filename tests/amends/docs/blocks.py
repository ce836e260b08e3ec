"""The code blocks of the README and the docs, how they are run, and how their output is compared."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.rows import dict_row

from tests.amends.harness import ROOT
from tests.amends.harness.program import amends
from tests.amends.harness.server import Server

HOW_TO = ROOT / "docs" / "how-to"
"""Their files are one project, which test_project.py runs."""
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted(HOW_TO.glob("*.md"))]
BLOCK = re.compile(r"^```(\S*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"\./run [\w -]+")
"""A command that needs nothing of a shell."""
SERVED = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Block:
    """A block with what stands after its opening fence: a language, and an option such as `file=…` or `project=…`.

    `in=…` is for lines of a file of the project; another word is for a command that a test runs in its own way.
    """

    page: Path
    line: int
    language: str
    option: str
    text: str

    @property
    def where(self) -> str:
        """The page and the line, as a failing test names them."""
        return f"{self.page.name}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file of the example project that this block is, if it is one."""
        return self.option.removeprefix("project=") if self.option.startswith("project=") else None


def blocks(page: Path) -> list[Block]:
    """The blocks of one page, in their order."""
    text = page.read_text()
    return [
        Block(page, text[: found.start()].count("\n") + 1, found[1], found[2].strip(), found[3])
        for found in BLOCK.finditer(text)
    ]


def every_block() -> Iterator[Block]:
    """The blocks of all pages."""
    return (block for page in PAGES for block in blocks(page))


def run_commands(page: Path, server: Server) -> None:
    """Run the shell and SQL blocks of a page; a `text` block is the output of the one before it, if that was run."""
    output: str | None = None
    for block in blocks(page):
        if block.option:
            output = None
            continue
        if block.language == "sh":
            output = _shell(block.text, server)
        elif block.language == "sql":
            output = _rows(block.text, server)
        elif block.language == "text" and output is not None:
            assert _pattern(block.text).fullmatch(_constant(output)), f"{block.where}: the output is\n{output}"


def _shell(text: str, server: Server) -> str:
    if server.folder == ROOT and all(map(COMMAND.fullmatch, text.splitlines())):
        return "".join(_command(line, server) for line in text.splitlines())
    return _in_a_shell(text, server)


def _in_a_shell(text: str, server: Server) -> str:
    done = subprocess.run(
        ["sh", "-eu", "-c", text.replace(SERVED, server.base)],
        capture_output=True,
        text=True,
        cwd=server.folder,
        env=server.environment | {"COLUMNS": "200"},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _command(line: str, server: Server) -> str:
    """What a command says; it is forked if it is one of Amends, as most of the time that it takes is imports."""
    _, program, *arguments = line.split()
    if program != "amends":
        return _in_a_shell(line, server)
    done = amends(*arguments, environment=server.environment | {"COLUMNS": "200"})
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _rows(text: str, server: Server) -> str:
    """What a statement answers, a line of JSON for each row."""
    with psycopg.connect(server.environment["DATABASE_URL"], row_factory=dict_row) as connection:
        rows = connection.execute(text.encode()).fetchall()
    return "\n".join(json.dumps(row, default=str, ensure_ascii=False) for row in rows)


def _pattern(text: str) -> re.Pattern[str]:
    """What an output must match: `…` on the page stands for whatever is there."""
    return re.compile(".*".join(re.escape(part) for part in _constant(text).split("…")), re.DOTALL)


def _constant(text: str) -> str:
    """Output without what differs each time: ids, process numbers, times, and all white space."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "EVENT", text)
    text = re.sub(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", "ID", text)
    text = re.sub(r"[\w.-]+-\d+-[0-9a-f]{8}\b", "EXECUTOR", text)
    text = re.sub(r"demo-[0-9a-f]{8}", "ORDER", text)
    text = re.sub(r"\d+(\.\d+)?", "0", text)
    return re.sub(r"\s+", "", text)
