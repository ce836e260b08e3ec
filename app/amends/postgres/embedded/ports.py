"""The port of the embedded Postgres."""

from __future__ import annotations

import contextlib
import socket

from app.amends.postgres.embedded.folder import SafeFolder


def free_port(folder: SafeFolder) -> int:
    """The port that it had last time, if that is free: those who know its URL find it again."""
    with contextlib.suppress(OSError, ValueError), socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port = int(folder.read("port"))
        probe.bind(("127.0.0.1", port))
        return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
