"""The files of a page are a project of their own, beside an Amends that has nothing of the example."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import parse_url
from tests.amends.docs.blocks import blocks, run_commands
from tests.amends.harness import ROOT
from tests.amends.harness.databases import drop_database
from tests.amends.harness.server import Server

PAGE = ROOT / "docs" / "what-goes-where.md"
RUN = f"""#!/bin/sh
shift
exec {sys.executable} -m amends "$@"
"""


@pytest.fixture(scope="module")
def amends(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has what the package has: the parts named `amends` of each ring, and the command."""
    folder = tmp_path_factory.mktemp("installed")
    for ring in ("domain", "workflows", "app", "migrations"):
        (folder / ring).mkdir()
        (folder / ring / "amends").symlink_to(ROOT / ring / "amends")
    (folder / "amends.py").symlink_to(ROOT / "amends.py")
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the page, and a `run` that takes `./run amends …`."""
    folder = tmp_path_factory.mktemp("library")
    for block in blocks(PAGE):
        if block.file:
            file = folder / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
    (folder / "run").write_text(RUN)
    (folder / "run").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def empty_database(postgres_18: EmbeddedPostgres) -> Iterator[URL]:
    """A database that nobody has migrated."""
    name = f"library_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_18.url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    url = parse_url(postgres_18.url).set(database=name)
    yield url
    drop_database(postgres_18, url)


def test_the_files_of_the_page_are_a_service(amends: Path, project: Path, empty_database: URL) -> None:
    with Server(empty_database) as server:
        server.folder = project
        server.environment |= {
            "PYTHONPATH": f"{project}:{amends}",
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        }
        server.start()
        run_commands(PAGE, server)
        assert "A letter with the key" in server.said
        assert set(server.get("/openapi.json")["paths"]) >= {"/books/{book}/return", "/shelves/{book}"}
        assert {each["name"] for each in server.get("/workflows/definitions")["definitions"]} == {"lend-book"}


def test_its_types_are_sound(amends: Path, project: Path) -> None:
    options = ["--strict", "--enable-error-code=unused-awaitable", "--no-error-summary"]
    options += ["--namespace-packages", "--explicit-package-bases"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "domain", "workflows", "app", "tests"],
        capture_output=True,
        text=True,
        cwd=project,
        env={"MYPYPATH": f"{project}:{amends}", "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_second_type_checker_takes_them_too(amends: Path, project: Path) -> None:
    rings = ["domain", "workflows", "app", "tests"]
    options = {"include": rings, "extraPaths": [str(amends)], "pythonVersion": "3.11", "typeCheckingMode": "strict"}
    environment = {"venvPath": str(Path(sys.prefix).parent), "venv": Path(sys.prefix).name}
    (project / "pyrightconfig.json").write_text(json.dumps(options | environment))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--project", str(project)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
