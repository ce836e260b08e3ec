"""Tries the newest packages there are, beyond the bounds in pyproject.toml: what breaks, and which bounds can be moved.

`newest.py UV [PYTEST OPTIONS]` makes an environment of its own in .newest, says which packages are beyond their bounds,
and ends as the tests in it do. It asks the package index that uv is told of, and nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
HOME = ROOT / ".newest"
PYTHON = HOME / "bin" / "python"
CHECKED = [
    "tests/amends/code",
    *(f"tests/{side}/{part}" for side in ("amends", "example") for part in ("domain", "workflows", "store", "app")),
]


def main(uv: str, *options: str) -> int:
    """Returns the exit status of the tests."""
    read = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = read["project"]
    bound = [*map(Requirement, [*project["dependencies"], *project["optional-dependencies"]["embedded"]])]
    free = [f"{each.name}{_extras(each)}{f'; {each.marker}' if each.marker else ''}" for each in bound]
    with tempfile.TemporaryDirectory() as elsewhere:  # here uv would take our pins into account
        _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(HOME), cwd=elsewhere)
        wanted = [*free, *read["dependency-groups"]["dev"]]
        install = [uv, "pip", "install", "--quiet", "--system-certs", "--python", str(PYTHON), *wanted]
        _run(*install, cwd=elsewhere)
        listed = [uv, "pip", "list", "--format", "json", "--python", str(PYTHON)]
        found = json.loads(subprocess.run(listed, cwd=elsewhere, check=True, capture_output=True).stdout)
    versions = {each["name"]: each["version"] for each in found}
    for each in bound:
        version = versions.get(each.name)
        if version and not each.specifier.contains(version, prereleases=True):
            print(f"beyond its bound: {each.name} {version}, where pyproject.toml says {each.specifier}")
    print("Trying them:", flush=True)
    tested = [str(PYTHON), "-m", "pytest", *(options or CHECKED)]
    return subprocess.run(tested, cwd=ROOT, env=_environment(), check=False).returncode


def _extras(requirement: Requirement) -> str:
    return f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""


def _environment() -> dict[str, str]:
    """Programs of the new environment come first."""
    return os.environ | {"PATH": f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(HOME)}


def _run(*command: str, cwd: str) -> None:
    subprocess.run(command, cwd=cwd, check=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
