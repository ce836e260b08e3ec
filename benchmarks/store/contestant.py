"""One contestant in a process of its own: plays one case and prints its figures."""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Callable
from importlib import import_module
from typing import Any

import uvloop
from sqlalchemy import make_url


def main(name: str, case: str, url: str, numbers: list[int]) -> None:
    """Play `case` of the module `name`; only that one is imported."""
    play: Callable[..., Any] = getattr(import_module(f"benchmarks.store.{name}"), case)
    played = play(make_url(url), *numbers)
    print(json.dumps(uvloop.run(played) if inspect.iscoroutine(played) else played))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for argument in ("name", "case", "url"):
        parser.add_argument(argument)
    parser.add_argument("numbers", type=int, nargs="*")
    given = parser.parse_args()
    main(given.name, given.case, given.url, given.numbers)
