"""What the project's own ruff makes of a new text, if its text before was as ruff wants it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

SECONDS = 60.0


def formatted(text: str, before: str, path: Path, root: Path) -> str:
    """A text as ruff sorts its imports and formats it; as it is where there is no ruff, or it was not used before."""
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or shutil.which("ruff")
    if ruff is None or _ruff(ruff, before, path, root) != before:
        return text
    return _ruff(ruff, text, path, root)


def _ruff(ruff: str, text: str, path: Path, root: Path) -> str:
    name = ["--quiet", "--stdin-filename", str(path), "-"]
    for command in (["check", "--fix-only", "--select", "I", *name], ["format", *name]):
        done = subprocess.run(
            [ruff, *command], input=text, cwd=root, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        if done.returncode == 0 and done.stdout:
            text = done.stdout
    return text
