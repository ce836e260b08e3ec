"""A Postgres that loses commits for real: those that nothing has flushed when every process of it is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from tests.amends.harness.databases import make_cluster, memory, with_template
from tests.amends.store.harness.trouble import end_sessions

UNFLUSHED = "set synchronous_commit = off"


def losing_cluster() -> Iterator[EmbeddedPostgres]:
    """A cluster of its own in memory, for a file of tests."""
    for cluster in make_cluster(within=memory(), made=with_template):
        yield cluster
        go_on(cluster)


def stop_flushing(cluster: EmbeddedPostgres) -> None:
    """From now on nothing reaches the log on disk but by a commit that waits for it, and what came before that one."""
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute("alter system set bgwriter_lru_maxpages = 0")
        connection.execute("select pg_reload_conf()")
        connection.execute("checkpoint")
        query = "select pid from pg_stat_activity where backend_type = 'walwriter'"
        for (pid,) in connection.execute(query).fetchall():
            os.kill(pid, signal.SIGSTOP)


def go_on(cluster: EmbeddedPostgres) -> None:
    """Let it flush again, or it would not stop."""
    if server := cluster.process():
        for process in server.children(recursive=True):
            process.resume()


def lose_commits(url: URL) -> None:
    """Let sessions of a database not wait for their commits from now on, so that these can be lost."""
    with psycopg.connect(conninfo(url), autocommit=True) as connection:
        connection.execute(f"alter database {url.database} set synchronous_commit = off".encode())
        end_sessions(connection)


def kill(cluster: EmbeddedPostgres) -> None:
    """Kill the server and all its processes at once."""
    server = cluster.process()
    assert server is not None
    server.suspend()  # or it would see its children die, and say so to those who are connected
    processes = [*server.children(recursive=True), server]
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, timeout=30)


def crash(cluster: EmbeddedPostgres) -> None:
    """Kill the server, and start it again at the same place."""
    kill(cluster)
    cluster.start()


def copy(cluster: EmbeddedPostgres, to: Path) -> None:
    """Keep a copy of the data, taken while the server is stopped; it is started again."""
    go_on(cluster)
    cluster.stop()
    subprocess.run(["cp", "-a", str(cluster.data), str(to)], check=True)
    cluster.start()


def put_back(cluster: EmbeddedPostgres, copied: Path) -> None:
    """Put a copy of the data in the place of those that there are, and start on it."""
    kill(cluster)
    shutil.rmtree(cluster.data)
    copied.rename(cluster.data)
    cluster.start()
