"""The statements of the store, in .sql files: each has a name and says what it is for."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def statements(file: str, folder: Path = HERE) -> dict[str, str]:
    """The statements of one file by name."""
    _, *parts = _NAME.split((folder / file).read_text(encoding="utf-8"))
    return dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))
