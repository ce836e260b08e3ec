"""A PgBouncer before a test's Postgres."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from app.amends.postgres.embedded.programs import server_account
from tests.amends.harness.server import wait_for

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def needed() -> str:
    """The program. Skips the test where it is not installed."""
    if PROGRAM is None:
        pytest.skip("There is no PgBouncer: install Debian's pgbouncer to test sessions through one.")
    return PROGRAM


@contextmanager
def pooled(url: URL, mode: str, ignored: str = "options", more: Mapping[str, object] | None = None) -> Iterator[URL]:
    """The same database for the same login through a PgBouncer of its own."""
    program, folder = needed(), Path(tempfile.mkdtemp(prefix="amends-pooler-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "scram-sha-256",
        "auth_file": folder / "users",
        "pool_mode": mode,
        "ignore_startup_parameters": ignored,
        "default_pool_size": 60,
        "server_round_robin": 0,
    } | dict(more or {})
    lines = [
        "[databases]",
        f"* = host=127.0.0.1 port={url.port}",
        "[pgbouncer]",
        *(f"{name} = {value}" for name, value in settings.items()),
    ]
    (folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
    (folder / "users").write_text(f'"{url.username}" "{url.password}"\n')
    owner = server_account()
    if owner:
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    who: dict[str, Any] = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}
    log = (folder / "log").open("wb")
    process = subprocess.Popen([program, "-q", str(folder / "pgbouncer.ini")], stdout=log, stderr=log, **who)
    try:
        wait_for(lambda: process.poll() is not None or _listens(port), "the pooler listens")
        assert process.poll() is None, (folder / "log").read_text()
        yield url.set(port=port)
    finally:
        process.terminate()
        process.wait(20)
        log.close()
        shutil.rmtree(folder)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
