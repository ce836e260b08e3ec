"""Serves: a server brings a database up to date, listens, serves, and ends."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import uvicorn
from sqlalchemy import URL

from app.amends.composition.server import ServerProcess, build_server
from app.amends.http.requests.connections import ClientConnection, limit_unread_time, raise_connection_limit
from app.amends.http.requests.guards import Guards
from app.amends.output.log_lines import log_to_stderr
from app.amends.output.terminal import print_line
from app.amends.postgres.bootstrap import prepare_database_in_time
from app.amends.postgres.database_in_use import make_embedded_postgres, running_database
from app.amends.security.loopback import base_url
from app.amends.server import lifetime
from app.amends.server.welcome import welcome_lines
from app.amends.service import S, Service
from app.amends.settings import Settings, require_tokens_if_public
from domain.amends.errors import StartupError

log = logging.getLogger("amends")

LEASE_LOST = 70
"""The exit status of a server whose lease was taken away, and whose sagas do not end."""
UNFIT = 71
"""The exit status of a server that does not reach a database that answers."""


def bind_socket(host: str, port: int) -> socket.socket:
    """A listening socket. Raises StartupError, before anything else is started."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise StartupError(
            f"Port {port} of {host} cannot be used: {error.strerror}.", "Choose another: --port 8001."
        ) from error
    made.setblocking(False)
    limit_unread_time(made)
    return made


def serve(service: Service[S], settings: S, host: str, port: int) -> None:
    """Serve until a signal: the whole life of `./run up`."""
    require_tokens_if_public(settings, host)
    log_to_stderr(settings.log_level, settings.log_format)
    raise_connection_limit()
    listening = bind_socket(host, port)
    with listening, ExitStack() as stack:
        chosen = running_database(
            settings.database_url, settings.owner_url, settings.data_dir, settings.postgres_bin, service.database_name
        )
        access = stack.enter_context(chosen)
        try:
            url = prepare_database_in_time(access.service, access.owner, service.root, settings.database_wait_seconds)
        except (SystemExit, KeyboardInterrupt):
            log.warning("It was asked to stop before the database was ready: this server has not been up.")
            raise
        status = lifetime.run_until_signal(
            lambda stopping: _serve(service, settings, url, listening, host, stopping), stack.close
        )
    lifetime.exit_process_soon(status)
    if status:
        sys.exit(status)


async def _serve(
    service: Service[Any],
    settings: Settings,
    url: URL,
    listening: socket.socket,
    host: str,
    stopping: asyncio.Event,
) -> int:
    port = listening.getsockname()[1]
    here = base_url(host, port)
    watch = asyncio.create_task(watch_embedded(settings)) if settings.database_url is None else None
    unfit = asyncio.Event()

    def end() -> None:
        unfit.set()
        stopping.set()

    process = ServerProcess(here, lifetime.HARD_SECONDS, end_process_at_once, end)
    async with build_server(service, settings, url, process).running() as running:
        server = _Server(_config(running.api))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started and not serving.done():  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.01)
        gc.collect()
        gc.freeze()  # what the server itself consists of need not be gone through at every collection
        for line in (f"Amends is up: {here}", *welcome_lines(here, settings, running.notes)):
            print_line(line)
        await asyncio.wait([asyncio.create_task(stopping.wait()), serving], return_when=asyncio.FIRST_COMPLETED)
        log.info("Stopping: running steps finish, the rest is handed over.")
        await running.engine.shut_down()
        server.should_exit = True
        await serving
    if watch:
        watch.cancel()
    return UNFIT if unfit.is_set() else 0


def _config(api: Guards) -> uvicorn.Config:
    """The configuration of uvicorn: our connections and our log, and nothing that is not used."""
    return uvicorn.Config(
        api,
        http=ClientConnection,
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=3,
        lifespan="off",
        server_header=False,
    )


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: steps that call this very server finish before it stops."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def watch_embedded(settings: Settings) -> None:
    """Start the embedded Postgres again when it dies."""
    embedded = make_embedded_postgres(settings.data_dir, settings.postgres_bin)
    while True:
        await asyncio.sleep(1.0)
        if _no_files_left():
            log.error("This process has no file descriptor left: nothing can be opened or connected to now.")
        elif await asyncio.to_thread(embedded.process) is None:
            log.warning("The embedded Postgres is gone; it is started again.")
            with suppress(StartupError):
                await asyncio.to_thread(embedded.start)


def _no_files_left() -> bool:
    try:
        os.close(os.dup(2))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False


def end_process_at_once() -> None:
    """End the process at once: others may run its sagas by now, and code of them that goes on here may call nobody any
    more."""
    sys.stderr.write("This server's lease was taken away, and code of its sagas does not end: the process ends.\n")
    sys.stderr.flush()
    os._exit(LEASE_LOST)
