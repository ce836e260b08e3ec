"""Type checkers hold a compensation to its step, and a call to a step's parameters."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "typing" / "sagas.py"


def marked() -> set[int]:
    lines = SAMPLE.read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}


def run(*command: str) -> str:
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=ROOT, check=False)
    return done.stdout


def test_mypy_refuses_exactly_what_is_wrong() -> None:
    said = run("mypy", "--no-error-summary", "--config-file", "pyproject.toml", str(SAMPLE))
    refused = {int(found[1]) for found in re.finditer(r"sagas\.py:(\d+): error", said)}
    assert refused == marked(), said


def test_pyright_refuses_exactly_what_is_wrong() -> None:
    said = run("pyright", "--outputjson", str(SAMPLE))
    found = json.loads(said)["generalDiagnostics"]
    refused = {each["range"]["start"]["line"] + 1 for each in found if each["severity"] == "error"}
    assert refused == marked(), said
