"""The files of the how-to pages are one project, beside an Amends that has nothing of the example."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo, parse_url
from tests.amends.docs.blocks import HOW_TO, Block, blocks, run_commands
from tests.amends.harness import ROOT
from tests.amends.harness.databases import drop_database
from tests.amends.harness.server import Server, http, wait_for

INDEX = HOW_TO / "README.md"
LINK = re.compile(r"\]\(([\w-]+\.md)\)")
PAGES = [INDEX, *(HOW_TO / name for name in dict.fromkeys(LINK.findall(INDEX.read_text())))]
"""In the order of the index: a page may go on from what those before it have done."""
MOUNTED = HOW_TO / "fastapi-app.md"
FILES = [block for page in PAGES for block in blocks(page) if block.file]
EXCERPTS = [block for page in PAGES for block in blocks(page) if block.option.startswith("in=")]
RUN = f"""#!/bin/sh
test "$1" = up || shift
exec {sys.executable} -m amends "$@"
"""


@dataclass(frozen=True)
class Project:
    """A folder with the files of the pages, and the Amends that stands beside it as if it were installed."""

    folder: Path
    amends: Path

    @property
    def environment(self) -> dict[str, str]:
        """What finds both, and the programs of this environment."""
        return {
            "PYTHONPATH": f"{self.folder}:{self.amends}",
            "MYPYPATH": f"{self.folder}:{self.amends}",
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a module of Python in it to its end."""
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environment,
            check=False,
        )


class Served(Server):
    """A program of the project that serves; uvicorn says in its own words that it is up."""

    def until_up(self) -> Self:
        """Return once it says that it is up, and where."""
        wait_for(self._is_up, "the program serves")
        self.base = self.said.split("Uvicorn running on ", 1)[1].split(" ", 1)[0]
        return self

    def _is_up(self) -> bool:
        assert not self.ended(), self.said
        return "Uvicorn running on " in self.said


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The files of the pages, with a `run` that takes `./run amends …`."""
    made = Project(tmp_path_factory.mktemp("library"), tmp_path_factory.mktemp("installed"))
    for ring in ("domain", "workflows", "app", "migrations"):
        (made.amends / ring).mkdir()
        (made.amends / ring / "amends").symlink_to(ROOT / ring / "amends")
    (made.amends / "amends.py").symlink_to(ROOT / "amends.py")
    for block in FILES:
        assert block.file
        file = made.folder / block.file
        assert not file.exists(), f"{block.where}: another page has {block.file} too"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text)
    (made.folder / "run").write_text(RUN)
    (made.folder / "run").chmod(0o755)
    return made


@pytest.fixture(scope="module")
def empty_database(postgres_18: EmbeddedPostgres) -> Iterator[URL]:
    """A database that nobody has migrated."""
    name = f"library_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_18.url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    url = parse_url(postgres_18.url).set(database=name)
    yield url
    drop_database(postgres_18, url)


@pytest.fixture(scope="module")
def stand_in(project: Project) -> Iterator[Served]:
    """The providers that the page of the gateway has."""
    (command,) = commands("stand-in")
    with Served(None) as server:
        server.folder, server.environment = project.folder, project.environment
        yield server.start(command=[sys.executable, *shlex.split(command)[1:-2]])


def serving(server: Server, project: Project, stand_in: Served, url: URL) -> Server:
    """The server, in the project and with its providers."""
    server.folder = project.folder
    providers = {f"AMENDS_{name.upper()}_URL": f"{stand_in.base}/{name}" for name in ("dealer", "bank")}
    server.environment = project.environment | providers | {"DATABASE_URL": conninfo(url)}
    return server


def commands(option: str) -> list[str]:
    """The shell blocks with an option."""
    return [block.text for page in PAGES for block in blocks(page) if block.option == option]


@pytest.mark.parametrize("block", EXCERPTS, ids=lambda block: block.where)
def test_an_excerpt_stands_in_its_file_in_that_order(block: Block) -> None:
    (whole,) = (each.text for each in FILES if each.file == block.option.removeprefix("in="))
    lines = map(str.strip, whole.splitlines())
    assert all(line.strip() in lines for line in block.text.splitlines() if line.strip())


def test_each_file_has_its_path_as_a_title() -> None:
    pages = {page: page.read_text().splitlines() for page in PAGES}
    above = {block.where: " ".join(pages[block.page][max(block.line - 6, 0) : block.line]) for block in FILES}
    assert [block.where for block in FILES if f"`{block.file}`" not in above[block.where]] == []


def test_the_files_of_the_pages_are_a_service(project: Project, empty_database: URL, stand_in: Served) -> None:
    with Server(empty_database) as server:
        serving(server, project, stand_in, empty_database).start()
        for page in PAGES:
            if page != MOUNTED:
                run_commands(page, server)
        assert "A letter with the key" in server.said
        assert http.post(f"{server.base}/books/emma/return", json={}).status_code == 200
    with Served(empty_database) as app:
        (command,) = commands("mounted")
        serving(app, project, stand_in, empty_database)
        app.start(command=[sys.executable, *shlex.split(command)[1:]])
        run_commands(MOUNTED, app)
        app.stop()
        assert "Application shutdown complete." in app.said


def test_a_setting_that_is_wrong_is_refused_as_the_page_says(project: Project) -> None:
    page = HOW_TO / "settings.md"
    shown = [block.text for block in blocks(page) if block.language == "text"]
    done = subprocess.run(
        ["sh", "-c", *commands("stops")],
        capture_output=True,
        text=True,
        cwd=project.folder,
        env=project.environment,
        check=False,
    )
    assert (done.returncode, [done.stderr]) == (1, shown)


def test_its_types_are_sound(project: Project) -> None:
    options = [
        "--strict",
        "--enable-error-code=unused-awaitable",
        "--namespace-packages",
        "--explicit-package-bases",
        "--no-error-summary",
    ]
    done = project.run("mypy", *options, "domain", "workflows", "app", "tests", "reading_room")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.soak
def test_a_second_type_checker_takes_them_too(project: Project) -> None:
    rings = ["domain", "workflows", "app", "tests", "reading_room"]
    options = {"include": rings, "extraPaths": [str(project.amends)], "pythonVersion": "3.11"}
    environment = {"venvPath": str(Path(sys.prefix).parent), "venv": Path(sys.prefix).name}
    told = options | environment | {"typeCheckingMode": "strict"}
    (project.folder / "pyrightconfig.json").write_text(json.dumps(told))
    done = project.run("pyright", "--project", str(project.folder))
    assert done.returncode == 0, done.stdout + done.stderr
