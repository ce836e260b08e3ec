"""A Postgres that stands still: it neither answers nor refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from app.amends.postgres.embedded.server import EmbeddedPostgres


@contextmanager
def frozen(cluster: EmbeddedPostgres) -> Iterator[None]:
    """No process of Postgres runs; its sockets stay open."""
    postgres = cluster.process()
    assert postgres is not None
    postgres.suspend()  # first: it has no further children then
    stopped = [postgres, *postgres.children()]
    for process in stopped:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    try:
        yield
    finally:
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.resume()
