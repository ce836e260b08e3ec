"""Amends as a wheel of this checkout, in an environment that has nothing else than what it depends on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.amends.harness import ROOT

PROJECT = Path(__file__).parent / "project"
"""A whole project on Amends, as a team writes it: four folders and nothing in them but its own."""


def uv() -> str:
    """The program `uv`, where `./run` finds or puts it."""
    found = shutil.which("uv") or shutil.which("uv", path=ROOT / ".uv" / "bin")
    assert found, "There is no uv: install it, or let ./run do it."
    return found


def build(folder: Path, checkout: Path = ROOT) -> Path:
    """A wheel of a checkout, made in a folder."""
    run(uv(), "build", "--quiet", "--wheel", "--python", sys.executable, "--out-dir", str(folder), cwd=checkout)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, environment: Path) -> Path:
    """Install a wheel into a new environment, with our pins; returns the folder of its programs."""
    run(uv(), "venv", "--quiet", "--python", sys.executable, str(environment))
    programs = environment / "bin"
    run(uv(), "pip", "install", "--quiet", "--python", str(programs / "python"), str(wheel))
    return programs


def run(*command: str, cwd: Path = ROOT, **environment: str) -> str:
    """What a command says; it must end well."""
    done = ended(*command, cwd=cwd, **environment)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def ended(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command once it has ended, however it did. Nothing of our own environment is in its way."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AMENDS_", "DATABASE_URL"))}
    return subprocess.run(command, cwd=cwd, env=kept | environment, capture_output=True, text=True, check=False)
