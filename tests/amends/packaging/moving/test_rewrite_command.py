"""`amends rewrite-imports` rewrites a team's folder, and leaves alone what it should."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.amends.harness import ROOT
from tests.amends.packaging.wheel import ended, run

OLD = {
    "domain/selling.py": "from domain.errors import Misdeclared, Refusal\n",
    "workflows/sell.py": "from domain.errors import Refusal\nfrom workflows.saga import Saga, step\n",
    "app/settings.py": "from app.amends.settings import Settings\n\n\nclass ShopSettings(Settings):\n    pass\n",
    "app/gateways/__init__.py": "",
    "app/gateways/till.py": "from app.settings import Settings, ShopSettings\nfrom ..settings import Settings as S\n",
    "tests/fakes.py": "from workflows.rehearsal import Stage\n\nstage = Stage()\n",
    "tests/test_sell.py": "from tests.fakes import Stage, stage\n",
    "tests/told.py": "from domain.errors import NeverThere\n",
}
NEW = {
    "domain/selling.py": "from domain.amends.errors import DefinitionError, Refusal\n",
    "workflows/sell.py": "from domain.amends.errors import Refusal\nfrom workflows.amends.saga import Saga, step\n",
    "tests/fakes.py": ("from workflows.amends.simulation.simulation import Simulation as Stage\n\nstage = Stage()\n"),
    "tests/told.py": "from domain.amends.errors import NeverThere\n",
}
NOT_THEIRS = [".venv/x.py", "env/lib/x.py", "node_modules/x.py", "domain/amends/x.py", "app/__pycache__/x.py"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {**OLD, **dict.fromkeys(NOT_THEIRS, "from domain.errors import Refusal\n")}.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "env" / "pyvenv.cfg").touch()
    (tmp_path / "notes.txt").write_text("from domain.errors import Refusal\n")
    return tmp_path


def amends(*options: str) -> subprocess.CompletedProcess[str]:
    return ended(sys.executable, "-m", "amends", "rewrite-imports", *options, cwd=ROOT)


def texts(project: Path) -> dict[str, str]:
    files = [path for path in project.rglob("*") if path.is_file()]
    return {str(path.relative_to(project)): path.read_bytes().decode("latin-1") for path in files}


def test_each_file_that_is_changed_is_printed_and_nothing_else_is_changed(project: Path) -> None:
    before = texts(project)
    done = amends(str(project))
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        *(f"changed  {project / name}" for name in sorted(NEW)),
        f"{len(NEW)} of {len(OLD)} files were changed.",
    ]
    assert done.stderr == (
        f"look at  {project / 'tests/told.py'}:1  domain.amends.errors has no NeverThere, "
        "and nothing is known of where it went.\n"
    )
    assert texts(project) == before | NEW
    assert amends(str(project)).stdout == f"0 of {len(OLD)} files were changed.\n"


def test_a_dry_run_changes_nothing(project: Path) -> None:
    before = texts(project)
    said = amends(str(project), "--dry-run").stdout
    assert said.splitlines()[0] == f"would change  {project / 'domain/selling.py'}"
    assert said.splitlines()[-1] == f"{len(NEW)} of {len(OLD)} files would be changed."
    assert texts(project) == before


def test_a_single_file_and_a_folder_within_are_rewritten_as_a_part_of_their_project(project: Path) -> None:
    before = texts(project)
    amends(str(project / "app"))
    assert texts(project) == before, "app/settings.py is the project's own"
    amends(str(project / "workflows" / "sell.py"))
    assert texts(project) == before | {"workflows/sell.py": NEW["workflows/sell.py"]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"print 'two'\n", "line 1: "),
        (b"x = (1,\n", "line 1: "),
        (b"x = '\xff'\n", "encoding declaration"),
        (b"\x00", "null bytes"),
        (b"# coding: nonsense\n", "nonsense"),
    ],
)
def test_what_is_no_python_is_named_and_nothing_is_changed(project: Path, content: bytes, says: str) -> None:
    (project / "workflows" / "wrong.py").write_bytes(content)
    before = texts(project)
    done = amends(str(project))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{project / 'workflows/wrong.py'} is no Python that can be read here: " in done.stderr
    assert says in done.stderr
    assert "Nothing was changed." in done.stderr
    assert texts(project) == before


def test_a_file_keeps_its_encoding_its_mark_and_its_ends_of_lines(project: Path) -> None:
    cases = {
        "latin.py": "# coding: latin-1\nfrom domain.errors import Refusal  # é\n".encode("latin-1"),
        "mark.py": b"\xef\xbb\xbffrom domain.errors import Refusal\r\nx = 1",
    }
    for name, content in cases.items():
        (project / name).write_bytes(content)
    amends(str(project))
    for name, content in cases.items():
        assert (project / name).read_bytes() == content.replace(b"domain.errors", b"domain.amends.errors")


def test_a_saga_and_its_rehearsal_of_the_first_layout_run_once_they_are_rewritten(tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parents[1] / "first_layout", tmp_path / "team")
    run(sys.executable, "-m", "amends", "rewrite-imports", str(tmp_path / "team"))
    said = run(sys.executable, str(tmp_path / "team" / "rehearse.py"), PYTHONPATH=str(ROOT))
    assert said == "alone completed, as a child completed, refused compensated\n"
