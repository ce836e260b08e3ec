"""`upgrade` brings a project from an older wheel to the present one, with sagas in flight, and back."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from app.amends.scaffold.changes import changes_between
from app.amends.scaffold.recorded import replay_command
from app.amends.scaffold.source import source_of
from app.amends.scaffold.upgrade import Project, _trials, with_source
from domain.amends.errors import StartupError
from tests.amends.harness import ROOT
from tests.amends.harness.server import Server
from tests.amends.packaging.test_wheel import empty_database, wheel
from tests.amends.packaging.wheel import build, ended, run

__all__ = ["empty_database", "wheel"]

OLDER = "73b0ca6c0f2c"
"""The first commit whose wheels can be upgraded."""
ANN = ("git", "-c", "user.name=Ann", "-c", "user.email=ann@localhost")
COMMIT = (*ANN, "commit", "--quiet", "--all", "--message")
ADDITIONS = Path(__file__).parent / "additions"
"""A saga, a table and a read model that a team adds to its project."""


@pytest.fixture(scope="module")
def older_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of an older state of this repository."""
    folder = tmp_path_factory.mktemp("older")
    checkout = folder / "checkout"
    run("git", "clone", "--quiet", "--no-checkout", "--shared", str(ROOT), str(checkout))
    run("git", "checkout", "--quiet", OLDER, cwd=checkout)
    return build(folder / "wheel", checkout)


@pytest.fixture(scope="module")
def shop(older_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project on that wheel, to which its team has added something."""
    folder = tmp_path_factory.mktemp("project") / "shop"
    run(str(ROOT / "run"), "new", str(folder), "--bare", "--amends", str(older_wheel))
    shutil.copytree(ADDITIONS, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    main = folder / "app" / "main.py"
    added = main.read_text().replace("sagas=[", "sagas=[Review(), ")
    main.write_text(
        added.replace("from workflows.sign_up", "from workflows.review import Review\nfrom workflows.sign_up")
    )
    run("./run", "amends", "schema", "lock", cwd=folder)
    run("git", "add", "--all", cwd=folder)
    run(*COMMIT, "Reviews", cwd=folder)
    return folder


def test_nothing_is_committed_that_did_not_pass(shop: Path, wheel: Path) -> None:
    (shop / "new.txt").write_text("mine")
    assert "There are changes that are not committed" in ended("./run", "upgrade", str(wheel), cwd=shop).stderr
    (shop / "new.txt").unlink()
    event = shop / "domain" / "members.py"
    event.write_text(event.read_text().replace("class MemberLeft:\n    pass", "class MemberLeft:\n    why: str"))
    run(*COMMIT, "An event of another shape", cwd=shop)
    done = ended("./run", "upgrade", str(wheel), cwd=shop)
    assert done.returncode == 1
    assert "Shapes of what is stored: failed with" in done.stdout
    assert "Mend it and commit, or undo all of it" in done.stdout
    run("git", "reset", "--quiet", "--hard", "HEAD~1", cwd=shop)
    assert run("git", "status", "--porcelain", cwd=shop) == ""
    assert [path.name for path in (shop / "wheels").iterdir()] != [wheel.name]


@pytest.mark.timeout(600)
def test_sagas_in_flight_go_on_with_the_present_version_and_back(shop: Path, wheel: Path, empty_database: URL) -> None:
    database = {"DATABASE_URL": conninfo(empty_database)}
    with Server(empty_database) as server:
        server.folder = shop
        server.start(command=("./run", "up"))
        for number in range(4):
            assert server.post("/workflows/review", f"m-{number}", Idempotency_Key=f"r-{number}").status_code == 202
        for number in range(4):
            assert server.saga_when_back(f"r-{number}")["status"] == "waiting"
        server.kill()

        said = run("./run", "upgrade", str(wheel), cwd=shop, **database)
        assert "is committed in place of" in said
        assert run("git", "status", "--porcelain", cwd=shop) == ""
        assert "already" in run("./run", "upgrade", f"../{shop.name}/wheels/{wheel.name}", cwd=shop)
        assert [path.name for path in (shop / "wheels").iterdir()] == [wheel.name]
        server.start(command=("./run", "up"))
        _decide(server, 0, 1)

        server.kill()
        run(*ANN, "revert", "--no-edit", "HEAD", cwd=shop)
        server.start(command=("./run", "up"))
        _decide(server, 2, 3)
    with psycopg.connect(conninfo(empty_database)) as connection:
        words = connection.execute("select member, word from shop.reviews order by member, id").fetchall()
    assert words == [(f"m-{number}", word) for number in range(4) for word in ("asked", "good")]


def test_a_project_says_where_it_has_amends_from_and_nothing_else_is_changed() -> None:
    before = '[project]\ndependencies = [\n    "amends == 0.1.0", # mine\n    "httpx",\n]\n\n[tool.uv]\n'
    git = with_source(before, source_of("git+https://example.com/amends.git@v2"))
    assert git == before.replace("amends == 0.1.0", "amends") + (
        '\n[tool.uv.sources]\namends = { git = "https://example.com/amends.git", rev = "v2" }\n'
    )
    assert with_source(git, source_of("0.1.0")).rstrip() == before.rstrip()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('["amends >= 0.1, < 2"]', '["amends == 0.3"]'),
        ('["amends[embedded]==0.1"]', '["amends[embedded] == 0.3"]'),
        ('["amends[embedded]"]', '["amends[embedded] == 0.3"]'),
        (
            '["amends == 0.1", "amends[embedded]", "amends-more"]',
            '["amends == 0.3", "amends[embedded]", "amends-more"]',
        ),
    ],
)
def test_a_dependency_is_changed_however_it_is_written(before: str, after: str) -> None:
    assert with_source(before, source_of("0.3")) == after


def test_a_dependency_that_is_not_found_is_said() -> None:
    with pytest.raises(StartupError, match="has no dependency on amends"):
        with_source("['amends==0.1']", source_of("0.3"))


def test_a_branch_may_have_slashes_and_a_url_a_name() -> None:
    source = source_of("git+ssh://git@example.com/ours/amends.git@feature/faster")
    assert 'git = "ssh://git@example.com/ours/amends.git", rev = "feature/faster"' in source.lines


def test_what_has_changed_is_what_the_earlier_changelog_does_not_say() -> None:
    first = "## 0.1.0\n\n### Added\n\n- One\n  thing.\n"
    before = f"# Changelog\n\n{first}"
    after = f"# Changelog\n\n## 0.2.0\n\n### Removed\n\n- Two: do\n  this.\n\n{first}- New.\n"
    assert list(changes_between(before, after)) == [
        "## 0.2.0", "### Removed", "- Two: do\n  this.", "## 0.1.0", "### Added", "- New.",
    ]  # fmt: skip
    assert list(changes_between(after, after)) == ["Nothing has changed for those who use Amends."]


def test_recordings_are_replayed_where_there_are_some(tmp_path: Path) -> None:
    project = Project(tmp_path, "uv")
    assert "Recordings" not in [trial.name for trial in _trials(project)]
    folder = tmp_path / "tests" / "recordings"
    folder.mkdir(parents=True)
    assert replay_command(tmp_path, ("amends",)) == ()
    (folder / "buy.1.s-1.json").write_text("{}")
    (trial,) = (trial for trial in _trials(project) if trial.name == "Recordings")
    replayed = (project.python, "-m", "amends", "workflows", "check", "--recordings", "tests/recordings")
    assert trial.command == replayed
    assert trial.available == (*replayed, "--help")


def _decide(server: Server, *numbers: int) -> None:
    for number in numbers:
        server.post(f"/workflows/r-{number}/signals/verdict", {"good": True}, Idempotency_Key=f"v-{number}")
        assert server.saga_when_back(f"r-{number}")["result"] == "good"
