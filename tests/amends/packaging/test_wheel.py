"""A project that depends on the wheel and has nothing but its own files does all that Amends promises."""

from __future__ import annotations

import json
import shutil
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo, parse_url
from tests.amends.harness import ROOT
from tests.amends.harness.databases import drop_database
from tests.amends.harness.server import Server, http, wait_for
from tests.amends.packaging.packers import Packers
from tests.amends.packaging.wheel import PROJECT, build, ended, install, run


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment in which the wheel is installed."""
    return install(wheel, tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project as somebody has just written it: nothing is locked yet."""
    return Path(shutil.copytree(PROJECT, tmp_path / "project"))


@pytest.fixture
def empty_database(postgres_18: EmbeddedPostgres) -> Iterator[URL]:
    """A database that nobody has migrated."""
    name = f"project_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_18.url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    url = parse_url(postgres_18.url).set(database=name)
    yield url
    drop_database(postgres_18, url)


def test_the_wheel_holds_amends_and_nothing_of_the_example(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as whole:
        names = whole.namelist()
    code = [name for name in names if ".dist-info/" not in name]
    assert {"/".join(name.split("/")[:2]) for name in code} == {
        "amends.py",
        "app/amends",
        "domain/amends",
        "migrations/amends",
        "workflows/amends",
    }
    for ring in ("app", "domain", "migrations", "workflows"):
        files = [path for path in (ROOT / ring / "amends").rglob("*") if path.is_file() and path.suffix != ".pyc"]
        assert {str(path.relative_to(ROOT)) for path in files} <= set(names), "SQL and locked shapes are there too"
        assert f"{ring}/amends/py.typed" in names


def test_a_project_works_with_the_wheel_alone(project: Path, programs: Path, empty_database: URL) -> None:
    amends = str(programs / "amends")
    run(amends, "schema", "lock", cwd=project)
    assert "has the shape" in run(amends, "schema", "check", cwd=project)

    with Packers() as packers, Server(empty_database, packers_url=packers.url) as server:
        server.folder = project
        server.start(command=(amends, "up"))
        _sell(server, "1", "lamp")
        assert server.saga("1")["result"] == "parcel with a lamp"
        assert _row(server, "1") == {"sale_id": "1", "article": "lamp", "status": "handed over"}

        _sell(server, "2", "piano")
        assert packers.asked.wait(60)
        server.kill()
        packers.packed.set()
        server.start(command=(amends, "up"))
        assert server.saga_when_back("2")["status"] == "completed"
        assert sorted(packers.calls.values()) == [1, 2], "the piano was asked for again, under the same key"

        listed = run(amends, "workflows", "list", "--json", cwd=project, DATABASE_URL=conninfo(empty_database))
        assert {saga["id"]: saga["status"] for saga in json.loads(listed)} == {
            "1": "completed",
            "2": "completed",
        }
        assert server.stop() == 0


def test_a_project_has_an_endpoint_a_table_and_a_command_of_its_own(
    project: Path, programs: Path, empty_database: URL
) -> None:
    amends = str(programs / "amends")
    assert run(amends, "hello", "--name", "you", cwd=project) == "Hello, you!\n"
    with Server(empty_database) as server:
        server.folder = project
        server.start(command=(amends, "up"))
        for text in ("wraps well", "is heavy"):
            assert http.put(f"{server.base}/notes/1", params={"text": text}).status_code == 204
        assert server.get("/notes/1") == ["wraps well", "is heavy"]
    with psycopg.connect(conninfo(empty_database)) as connection:
        found = connection.execute("select version_num from amends.alembic_version").fetchall()
        assert ("shop_1",) in found
        assert len(found) == 2, "Amends' branch is the other one"
        connection.execute("set role amends_service")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("delete from shop.notes")


def test_a_folder_without_a_project_is_told_what_is_missing(tmp_path: Path, programs: Path) -> None:
    done = ended(str(programs / "amends"), "schema", "check", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no app/main.py here." in done.stderr


def test_a_checkout_runs_its_own_code_where_the_wheel_is_installed_too(programs: Path) -> None:
    code = """
        import atexit, runpy, sys
        sys.argv = ["amends", "--help"]
        atexit.register(lambda: print(*sorted(vars(each).get("__file__") for name, each in sys.modules.items()
                                              if name.startswith(("amends", "app.amends", "domain.amends")))))
        runpy.run_module("amends", run_name="__main__", alter_sys=True)
    """
    said = run(str(programs / "python"), "-c", dedent(code), cwd=ROOT)
    files = [Path(each) for each in said.splitlines()[-1].split()]
    assert ROOT / "app" / "amends" / "cli" / "main.py" in files
    assert all(each.is_relative_to(ROOT) for each in files)


def _sell(server: Server, id: str, article: str) -> None:
    answer = server.post("/workflows/sell", {"sale_id": id, "article": article}, Idempotency_Key=id)
    assert answer.status_code == 202, answer.text


def _row(server: Server, key: str) -> object:
    """The row of a sale, once it shows that the sale is handed over."""

    def found() -> bool:
        answer = http.get(f"{server.base}/views/sales_list/{key}")
        return answer.status_code == 200 and answer.json()["status"] == "handed over"

    wait_for(found, f"the sales list shows {key}")
    return server.get(f"/views/sales_list/{key}")
