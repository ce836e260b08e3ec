"""The version of this checkout, which the wheel built from it bears: two states never have equal ones.

A release is an unchanged checkout of the tag `v` and RELEASE. Any other commit is a development version before it that
names the commit, and one with changes names those too, by a digest of them.
"""

from __future__ import annotations

import hashlib
import subprocess
from email.parser import Parser
from pathlib import Path

RELEASE = "0.1.0"
"""The release that the present code is to be, or is."""
ROOT = Path(__file__).parents[1]
BUILT = ("LICENSE", "CHANGELOG.md", "amends.py", "app", "domain", "migrations", "workflows", "tests", "pyproject.toml")
"""What a wheel is made of."""


def version() -> str:
    """The version; that of an unpacked source distribution stands in its own metadata."""
    if (ROOT / "PKG-INFO").exists():
        return str(Parser().parsestr((ROOT / "PKG-INFO").read_text())["Version"])
    if not (ROOT / ".git").exists():
        return f"{RELEASE}.dev0+tree.{_digest(_files())}"
    commit, count = _git("rev-parse", "--short=12", "HEAD"), _git("rev-list", "--count", "HEAD")
    changes = _changes()
    if not changes and f"v{RELEASE}" in _git("tag", "--points-at", "HEAD").split():
        return RELEASE
    return f"{RELEASE}.dev{count}+g{commit}{f'.changed.{_digest(changes)}' if changes else ''}"


def _changes() -> list[Path]:
    """Files that are not as the commit has them: changed, new, or gone; what git ignores is no part of a checkout."""
    listed = _git("status", "--porcelain", "--untracked-files=all", "-z", "--no-renames").split("\0")
    return sorted(ROOT / each[3:] for each in listed if each)


def _files() -> list[Path]:
    found = [ROOT / name for name in BUILT]
    found = [each for path in found for each in ([path] if path.is_file() else path.rglob("*"))]
    return sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts)


def _digest(files: list[Path]) -> str:
    whole = hashlib.sha256()
    for path in files:
        content = path.read_bytes() if path.is_file() else b"gone"
        whole.update(f"{path.relative_to(ROOT)}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()[:12]


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip("\n")
