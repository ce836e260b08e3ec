"""Lines of the terminal: one for each text, whatever is in it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import Any

from workflows.amends.values.printable import escaped


def print_line(text: str) -> None:
    """Print one line; characters that would steer a terminal, or begin another line, are escaped."""
    print(escaped(text), flush=True)


def print_error_line(text: str) -> None:
    """Print one line of an error or a remark, apart from output for other programs."""
    print(escaped(text), file=sys.stderr, flush=True)


def terminal_size() -> os.terminal_size:
    """The columns and lines of the terminal, or what COLUMNS and LINES say; 100 columns where there is neither."""
    return shutil.get_terminal_size((100, 40))


def has_unicode() -> bool:
    """Whether what is printed may be more than ASCII."""
    return (sys.stdout.encoding or "").lower().startswith("utf")


def print_json(data: Any, indent: int | None = 2) -> None:
    """Print plain JSON data for people and their tools; in ASCII, so that no text in it steers a terminal."""
    print(json.dumps(data, indent=indent))
