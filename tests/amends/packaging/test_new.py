"""`new` makes a project that works at once: with one small saga, and with the example business."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.amends.docs.blocks import every_block
from tests.amends.harness.program import amends
from tests.amends.packaging.wheel import ended, run

NEW = (sys.executable, "-m", "amends", "new")
ME = ("-c", "user.name=me", "-c", "user.email=me@localhost")
OURS = re.compile(r"\bamends\b")
VERSION = re.compile(r"amends-\d+\.\d+\.\d+(\.dev\d+\+g[0-9a-f]{12}(\.changed\.\w+)?)?-py3")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one small saga, in a folder of that name."""
    folder = tmp_path_factory.mktemp("projects") / "book-shop"
    run(*NEW, str(folder), "--bare")
    return folder


@pytest.fixture(scope="module")
def market(shop: Path) -> Path:
    """A project with the example business, and the environment of the other."""
    folder = shop.parent / "market"
    run(*NEW, str(folder), "--amends", str(next((shop / "wheels").iterdir())))
    return folder


def test_its_own_tests_pass_and_its_types_are_checked_across_the_wheel(shop: Path) -> None:
    done = ended("./run", "test", cwd=shop)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout
    assert run("git", "status", "--short", cwd=shop) == ""
    saga = shop / "workflows" / "sign_up.py"
    before = saga.read_text()
    saga.write_text(before.replace("key=call.key", "key=call.colour"))
    done = ended("./run", "test", cwd=shop)
    saga.write_text(before)
    assert '"Call" has no attribute "colour"' in done.stdout
    assert done.returncode == 1


def test_the_pages_show_what_is_tried_here() -> None:
    shown = {block.text for block in every_block() if block.option == "project"}
    assert shown == {"./run new ../shop --bare\ncd ../shop && ./run test\n"}


def test_the_example_business_is_one_project_as_well(market: Path, shop: Path) -> None:
    assert (market / "workflows" / "place_order.py").exists()
    python = str(shop / ".venv" / "bin" / "python")
    assert " passed" in run(python, "-m", "pytest", cwd=market)
    assert "has the shape" in run(python, "-m", "amends", "schema", "check", cwd=market)
    replayed = run(python, "-m", "amends", "workflows", "check", "--recordings", "tests/recordings", cwd=market)
    assert "The code here fits all" in replayed
    assert "tests.example" not in "".join(path.read_text() for path in market.glob("tests/**/*.py"))


def test_a_new_version_of_each_saga_passes_all_checks(shop: Path, market: Path) -> None:
    python = str(shop / ".venv" / "bin" / "python")
    sagas = {shop: ["sign-up"], market: ["place-order", "transfer-money", "book-trip", "book-group-trip"]}
    for project, names in sagas.items():
        try:
            for name in names:
                said = run(python, "-m", "amends", "workflows", "version", name, cwd=project)
                assert f"{name}:2 is in workflows/{name.replace('-', '_')}.py: change it there." in said
                assert "was not asked: there is no database here." in said
                run("git", "add", "--all", cwd=project)
                run("git", *ME, "commit", "--message", name, cwd=project)
            run(python, "-m", "ruff", "format", "--check", ".", cwd=project)
            for checks in ("ruff check .", "mypy", "amends schema check", "pytest"):
                run(python, "-m", *checks.split(), cwd=project)
        finally:
            first = run("git", "rev-list", "--max-parents=0", "HEAD", cwd=project).strip()
            run("git", "reset", "--hard", first, cwd=project)


def test_its_name_is_its_own_wherever_it_shows(shop: Path) -> None:
    said = {path: (shop / path).read_text() for path in ("README.md", "pyproject.toml", "Dockerfile", "app/main.py")}
    assert said["README.md"].startswith("# Book shop\n")
    assert tomllib.loads(said["pyproject.toml"])["project"]["name"] == "book-shop"
    assert "BookShopSettings" in said["app/main.py"]
    assert not re.search(r"\{\{|\}\}", "".join(said.values()))
    code = "from app.main import service as s; print(s.name, s.title, s.database_name)"
    assert run(str(shop / ".venv" / "bin" / "python"), "-c", code, cwd=shop) == "book-shop Book shop book_shop\n"


def test_nothing_of_ours_is_copied_but_the_wheel(shop: Path, market: Path) -> None:
    for project in (shop, market):
        listed = run("git", "ls-files", cwd=project).splitlines()
        assert not [path for path in listed if OURS.search(path) and not path.startswith("wheels/")]
        assert len((project / "run").read_text().splitlines()) < 40
        assert run("git", "log", "--oneline", cwd=project).count("\n") == 1
        (wheel,) = (project / "wheels").iterdir()
        assert f'path = "wheels/{wheel.name}"' in (project / "pyproject.toml").read_text()
        assert VERSION.search(wheel.name)


def test_a_folder_is_one_as_its_maker_sees_it_also_behind_a_link(tmp_path: Path, shop: Path) -> None:
    (tmp_path / "my shop").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "my shop")
    wheel = str(next((shop / "wheels").iterdir()))
    said = run(*NEW, "link", "--bare", "--amends", wheel, _AMENDS_CALLER=str(tmp_path))
    assert "My shop is made in link" in said
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "my shop" / "run").exists()
    said = run(*NEW, "her shop", "--bare", "--amends", wheel, _AMENDS_CALLER=str(tmp_path))
    assert "cd 'her shop' && ./run up" in said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{here}/full"], "is there already and not empty"),
        (["{here}/full/mine.txt", "--name", "mine"], "mine.txt is a file: choose another name"),
        (["{here}/Über"], "must be lower-case words joined by hyphens"),
        (["{here}/amends"], "give it a name of its own"),
        (["{here}/template1"], "is a database that Postgres keeps to itself"),
        (["{here}/fastapi"], "'fastapi' is a package that is installed here"),
        (["{here}/" + 64 * "x"], "has more than 63 characters"),
        (["{here}/full/mine.txt/x"], "x cannot be made: "),
        (["{here}/x", "--amends", "{here}/full/amends-9-py3-none-any.whl"], "is no wheel of Amends"),
        (["{here}/x", "--amends", "git+https://me:secret@here/x"], "this URL has a password"),
        (["{here}/x", "--amends", 'git+file:///x"y'], "neither a version such as 0.1.0"),
        (["{here}/x", "--name", "my shop"], "'my shop' must be lower-case words"),
        (["{here}/x", "--amends", "nothing.whl"], "is no wheel of Amends"),
        (["{here}/x", "--bare", "--amends", "git+file://{here}/full@v1"], "full@v1 cannot be installed: "),
        (["{here}/x", "--bare", "--amends", "99.0"], "amends == 99.0 cannot be installed: "),
        (["{here}/x", "--amends", "somewhere else"], "neither a version such as 0.1.0, nor a wheel's path"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_sentence(tmp_path: Path, arguments: list[str], told: str) -> None:
    (tmp_path / "full").mkdir()
    for name in ("mine.txt", "amends-9-py3-none-any.whl"):
        (tmp_path / "full" / name).write_text("mine")
    done = amends("new", *(each.format(here=tmp_path) for each in arguments))
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "amends-9-py3-none-any.whl",
        "full",
        "mine.txt",
    ]
