"""./run bench [NAME…] [--json FILE]: every benchmark, or those named; prints tables, and the figures to a file."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from app.amends.postgres.bootstrap import prepare_database
from app.amends.postgres.embedded.programs import find_binaries
from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import parse_url
from benchmarks import compatibility, sagas, waiting
from benchmarks.long import comparison as long
from benchmarks.store import big, comparison
from benchmarks.views import comparison as views

BENCHMARKS: dict[str, Callable[[Any, Console], Any]] = {
    "sagas": sagas.compare,
    "waiting": waiting.compare,
    "check": compatibility.compare,
    "store": comparison.compare,
    "views": views.compare,
    "store-big": big.compare,
    "long": long.compare,
}
SLOW = ("check", "store-big", "long")
"""These run only when they are named."""


def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"Which: {', '.join(BENCHMARKS)}.")] = None,
    to: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")] = None,
    events: Annotated[int, typer.Option(hidden=True, help="How many events store-big and long have.")] = big.EVENTS,
) -> None:
    """Run benchmarks on a Postgres of their own, with its settings as they come."""
    unknown = [name for name in names or () if name not in BENCHMARKS]
    if unknown:
        raise typer.BadParameter(f"There is no benchmark {unknown[0]}. There are: {', '.join(BENCHMARKS)}.")
    benchmarks = BENCHMARKS | {
        "store-big": partial(big.compare, events=events),
        "long": partial(long.compare, events=events),
    }
    folder = Path(tempfile.mkdtemp(prefix="amends-bench-"))
    cluster, console = EmbeddedPostgres(folder / "postgres", find_binaries()), Console()
    try:
        url = parse_url(cluster.start())
        prepare_database(url)
        chosen = names or [name for name in BENCHMARKS if name not in SLOW]
        figures = {name: benchmarks[name](url, console) for name in chosen}
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
    if to:
        to.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
