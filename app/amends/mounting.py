"""A service of Amends inside another ASGI application, such as a FastAPI app of another team."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import URL
from starlette.types import Receive, Scope, Send

from app.amends.composition.server import ServerProcess, build_server
from app.amends.http.problem_types import NOT_READY
from app.amends.http.problems import problem_response
from app.amends.http.requests.guards import Guards
from app.amends.postgres.bootstrap import prepare_database_in_time
from app.amends.postgres.database_in_use import running_database
from app.amends.server.serve import end_process_at_once, watch_embedded
from app.amends.service import Service
from app.amends.settings import Settings, read_settings, require_tokens_if_public
from domain.amends.errors import StartupError
from workflows.amends.background import cancel_tasks

log = logging.getLogger("amends")

RUNNING: Final = threading.Lock()
"""Held while a service runs here: DBOS is one for each process."""

STOP_SECONDS: Final = 600.0
"""How long the process goes on after a signal before the watchdog ends it: its own manager is usually quicker."""
NOT_STARTED: Final = "Amends is mounted here and was not started: give its lifespan to the application."


class MountedService:
    """A service as an ASGI application, and the lifespan that starts and stops it.

        amends = MountedService(service, here="http://127.0.0.1:8000/amends")
        app = FastAPI(lifespan=amends.lifespan)
        app.mount("/amends", amends)

    `here` is the base URL below which it is reached. Settings come from the environment, as with `./run up`. Each
    process of the application is one server of Amends.
    """

    def __init__(self, service: Service[Any], *, here: str) -> None:
        self._service, self._here = service, here.rstrip("/")
        self._api: Guards | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; 503 before the lifespan has begun and after its end."""
        if self._api is not None:
            await self._api(scope, receive, send)
        elif scope["type"] == "http":
            await problem_response(NOT_READY, NOT_STARTED)(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncGenerator[None]:
        """Migrate the database and run sagas until the end. Raises StartupError.

        An application with a lifespan of its own enters it there: `async with amends.lifespan(): yield`.
        """
        host = urlsplit(self._here).hostname
        if host is None:
            raise StartupError(f"here={self._here!r} is no URL.", "It is like http://127.0.0.1:8000/amends.")
        settings = read_settings(self._service.settings, self._service.root)
        require_tokens_if_public(settings, host)
        async with AsyncExitStack() as opened:
            opened.enter_context(_alone_in_process())
            url = await _database(self._service, settings, opened)
            process = ServerProcess(self._here, STOP_SECONDS, end_process_at_once, _say_unfit)
            running = await opened.enter_async_context(build_server(self._service, settings, url, process).running())
            self._api = running.api
            try:
                yield
            finally:
                self._api = None


@contextmanager
def _alone_in_process() -> Iterator[None]:
    if not RUNNING.acquire(blocking=False):
        raise StartupError(
            "Amends runs in this process already.", "Enter its lifespan once, however often it is mounted."
        )
    try:
        yield
    finally:
        RUNNING.release()


async def _database(service: Service[Any], settings: Settings, opened: AsyncExitStack) -> URL:
    """The database, up to date; an embedded one runs until `opened` is closed."""
    held = ExitStack()
    opened.push_async_callback(asyncio.to_thread, held.close)
    chosen = running_database(
        settings.database_url, settings.owner_url, settings.data_dir, settings.postgres_bin, service.database_name
    )
    access = await asyncio.to_thread(held.enter_context, chosen)
    if settings.database_url is None:
        watch = asyncio.create_task(watch_embedded(settings), name="embedded Postgres")
        opened.push_async_callback(cancel_tasks, watch)
    return await asyncio.to_thread(
        prepare_database_in_time, access.service, access.owner, service.root, settings.database_wait_seconds
    )


def _say_unfit() -> None:
    log.error("Amends cannot serve in this process any more: start the process again.")
