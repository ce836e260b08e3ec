"""Which database is in use: the one that was set, else an embedded one that is started for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL

from app.store.database import parse_url
from app.store.embedded import EmbeddedPostgres, find_binaries


def embedded_postgres(data_dir: Path, programs: Path | None) -> EmbeddedPostgres:
    """The embedded Postgres below a folder, not started."""
    return EmbeddedPostgres(data_dir / "postgres", programs or find_binaries())


@contextmanager
def database(url: str | None, data_dir: Path, programs: Path | None) -> Iterator[URL]:
    """The database in use; an embedded one is stopped by its last user."""
    if url is not None:
        yield parse_url(url)
        return
    embedded = embedded_postgres(data_dir, programs)
    try:
        yield parse_url(embedded.use())
    finally:
        embedded.leave()
