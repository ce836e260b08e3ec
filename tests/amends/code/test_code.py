"""Nothing is wrong with the code's format, types, imports and events."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

import pytest

from tests.amends.harness import ROOT

CHECKS = {
    "format": ["-m", "ruff", "format", "--check", "--quiet", "."],
    "lint": ["-m", "ruff", "check", "--quiet", "."],
    "types": ["-m", "mypy"],
    "types, second opinion": ["-m", "pyright"],
    "import rules": ["-c", "from importlinter.cli import lint_imports_command as lint; lint()"],
    "event shapes": ["-m", "amends", "schema", "check"],
    "recordings": ["-m", "amends", "workflows", "check", "--recordings", "tests/recordings"],
}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("check", CHECKS)
def test_a_check_finds_nothing(check: str) -> None:
    done = run(*CHECKS[check])
    assert done.returncode == 0, f"{check}:\n{done.stdout}\n{done.stderr}"


def test_nothing_reads_a_url_that_the_host_header_has_a_part_in() -> None:
    """Its path may be one that a stranger chose; the scope has the one that is routed by."""
    found = r"\brequest\.(url|url_for|base_url)\b"
    files = [file for file in (ROOT / "app").rglob("*.py") if re.search(found, file.read_text())]
    assert files == []


def test_a_room_is_seen_at_a_glance() -> None:
    """A folder holds a dozen files at most, and a file of ours 300 lines: what is more has parts with names."""
    ours = [file for ring in ("domain", "workflows", "app") for file in (ROOT / ring / "amends").rglob("*.py")]
    assert [file for file in ours if len(file.read_text().splitlines()) > 300] == []
    rooms = Counter(file.parent for file in [*ours, *(ROOT / "tests").rglob("*.py")] if file.name != "__init__.py")
    assert {room: files for room, files in rooms.items() if files > 12} == {}
