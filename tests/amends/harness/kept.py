"""Data of new clusters, made once and kept between runs of tests: a copy takes a small part of the time."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import IO

import psycopg
from psycopg import sql

from app.amends.postgres.embedded.server import EmbeddedPostgres
from tests.amends.harness import ROOT

KEPT = ROOT / ".pytest_cache" / "postgres"
SOURCES = ("migrations", "app/amends/postgres", "workflows/amends/dbos", "tests/amends/harness")
"""What a cluster and the databases in it are made by, beside DBOS and the programs of Postgres."""
LEFT = ("data", "password")
"""What of a cluster is kept: its port and its locks belong to the one that runs."""


def lay(cluster: EmbeddedPostgres, name: str, make: Callable[[EmbeddedPostgres], None]) -> None:
    """Lay a copy of the data that `make` makes in a new cluster, and start on it, with a password of its own.

    `name` is what they are kept under. They are made anew when anything that they are made by has changed.
    """
    kept = KEPT / _digest(cluster.programs) / name
    with _locked(fcntl.LOCK_SH) as lock:
        if not kept.exists():
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                _keep(kept, cluster.programs, make)
            fcntl.flock(lock, fcntl.LOCK_SH)
        cluster.root.mkdir(mode=0o700)
        _copy(kept, cluster.root)
    cluster.start()
    _renew_password(cluster)


def _keep(kept: Path, programs: Path, make: Callable[[EmbeddedPostgres], None]) -> None:
    """Make the data. What was made by other sources is of no use any more."""
    for earlier in KEPT.iterdir():
        if earlier.is_dir() and (earlier / "programs").read_text() == str(programs) and earlier != kept.parent:
            shutil.rmtree(earlier)
    with tempfile.TemporaryDirectory(prefix="amends-kept-") as folder:
        Path(folder).chmod(0o755)
        made = EmbeddedPostgres(Path(folder) / "postgres", programs)
        try:
            made.start()
            make(made)
        finally:
            made.stop()
        unfinished = Path(tempfile.mkdtemp(prefix=f"{kept.name}-", dir=_folder(kept.parent, programs)))
        _copy(made.root, unfinished)
        unfinished.rename(kept)


def _folder(folder: Path, programs: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "programs").write_text(str(programs))
    return folder


def _copy(source: Path, to: Path) -> None:
    """Copy what is kept of a cluster, which belongs to the same accounts then."""
    subprocess.run(["cp", "-a", *(str(source / name) for name in LEFT), str(to)], check=True)


def _renew_password(cluster: EmbeddedPostgres) -> None:
    """Give it a password of its own: a cluster is known by that from others, of which it may have the port next."""
    fresh = hashlib.sha256(f"{cluster.root} {cluster.url}".encode()).hexdigest()
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        secret = connection.pgconn.encrypt_password(fresh.encode(), b"postgres", b"scram-sha-256").decode()
        connection.execute(sql.SQL("alter role postgres password {}").format(sql.Literal(secret)))
    (cluster.root / "password").write_text(fresh)


@contextmanager
def _locked(how: int) -> Iterator[IO[str]]:
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, how)
        yield lock


def _digest(programs: Path) -> str:
    """The same for all that a cluster is made by."""
    server = (programs / "postgres").stat()
    found = hashlib.sha256(repr((str(programs), server.st_size, server.st_mtime_ns, version("dbos"))).encode())
    for source in SOURCES:
        for file in sorted((ROOT / source).rglob("*")):
            if file.is_file() and file.suffix != ".pyc":
                found.update(f"{file.relative_to(ROOT)} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()[:20]
