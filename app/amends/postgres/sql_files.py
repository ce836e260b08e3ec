"""SQL in files: each statement has a name and a comment that says what it is for."""

from __future__ import annotations

import re
from pathlib import Path

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load_statements(file: Path) -> dict[str, str]:
    """The statements of one file by name; usually the file stands beside the module that sends them."""
    _, *parts = _NAME.split(file.read_text(encoding="utf-8"))
    return dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))
