"""The output of the watchdog's process: reports to the server, and log lines where the server may not read them."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from workflows.amends.values.printable import escaped

as_json = False
"""Whether lines of the log are JSON, as the server's are; its process is told when it starts."""


def saga_names(who: bytes) -> tuple[str | None, str | None, str | None]:
    """A saga, its kind and the step as the server has marked them; all None for code of no saga."""
    try:
        saga, kind, step = json.loads(who)
    except ValueError:
        return None, None, None
    return saga, kind, step


def send_report(told: dict[str, Any]) -> None:
    """Report to the server, which may read it later or never."""
    try:
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
    except OSError:
        sys.exit(0)


def log(level: str, text: str, stack: str = "") -> None:
    """A line of the server's log, with a stack below it."""
    now = time.time()
    at = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03d}Z"
    if as_json:
        line = {"timestamp": at, "level": level, "logger": "amends.watchdog", "message": f"{text}."}
        sys.stderr.write(json.dumps(line | ({"below": stack} if stack else {})) + "\n")
        sys.stderr.flush()
        return
    lines = "".join(f"\n    {escaped(line.strip())}" for line in stack.splitlines())
    sys.stderr.write(f"{at} {level} amends.watchdog: {escaped(text)}.{lines}\n")
    sys.stderr.flush()
