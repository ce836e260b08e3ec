"""A process that has imported Amends and forks one for each program that is to run: most of a start is imports.

`python -m tests.amends.harness.forkserver SOCKET`, with the descriptor of a socket, runs it; tests ask it by
`program.start`. What it forks goes on as `python -m MODULE` does after its imports. It ends with who has started it.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
from typing import Any, NamedTuple

STREAMS = 3
"""Each request comes with standard input, output and error, and with a pipe that is told the process and its end."""


LATE = (
    "dbos._sys_db_postgres",
    "httpcore",
    "pydantic.v1",
    "sqlalchemy.dialects.sqlite",
    "uvicorn.lifespan.off",
    "uvloop",
)
"""Modules of others that they import when something is made."""


class Request(NamedTuple):
    """What is to run, and as what."""

    module: str
    arguments: list[str]
    folder: str
    environment: dict[str, str]


def serve(requests: socket.socket) -> Request | None:
    """Fork for each request; returns in the forked process with what it is to be, and None at the end of requests."""
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    running: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([requests.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 1024)
            _tell_ends(running)
        if requests.fileno() not in ready:
            continue
        message, streams, _, _ = socket.recv_fds(requests, 1 << 20, STREAMS + 1)
        if not message:
            return None
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            for each in (woken, wake, requests.detach(), *running.values()):
                os.close(each)
            return _become(Request(*json.loads(message)), streams)
        running[pid] = streams.pop()
        os.write(running[pid], f"{pid}\n".encode())
        for each in streams:
            os.close(each)


def _tell_ends(running: dict[int, int]) -> None:
    """Tell of each process that has ended how it did."""
    for pid in [*running]:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            told = running.pop(pid)
            os.write(told, f"{os.waitstatus_to_exitcode(status)}\n".encode())
            os.close(told)


def _become(request: Request, streams: list[int]) -> Request:
    """Be a process as one that has just been started."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, each in enumerate(streams[:STREAMS]):
        os.dup2(each, number)
    for each in streams:
        os.close(each)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    return request


def prepare() -> None:
    """Import what every server and command imports, and make what each of them would make once of this checkout.

    It makes fingerprints of aggregates before anything is folded, as a server does, and shapes of what is stored.
    """
    import app.amends.cli.main
    import app.amends.server.serve  # noqa: F401
    from app.amends.schema.catalogue import load_catalogue
    from app.amends.schema.shapes import loaded_shapes
    from app.amends.store.code_fingerprint.fingerprint import code_version

    for name in (*LATE, *(["app.main"] if importlib.util.find_spec("app.main") else [])):
        importlib.import_module(name)
    known = load_catalogue()
    for aggregate in known.aggregates.values():
        code_version(aggregate)
    for _ in loaded_shapes(known, ()):
        pass


def main(descriptor: int) -> None:
    """Prepare, say so, and serve."""
    prepare()
    assert threading.active_count() == 1, "a process with threads cannot be forked"
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=descriptor) as requests:
        requests.send(b"ready")
        request: Any = serve(requests)
        if request is not None:
            sys.argv = [request.module, *request.arguments]
            runpy.run_module(request.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
