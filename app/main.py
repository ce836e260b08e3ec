"""The composition root: the only place that knows everything, and the only one that reads settings."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from fastapi import APIRouter
from sqlalchemy import URL

from app.catalogue import Catalogue, catalogue
from app.gateways.gate import Gates
from app.gateways.provider import HttpCouriers, HttpPayments, HttpStock, HttpTravel, ProviderClient
from app.http.accounts import Accounts
from app.http.api import build
from app.http.events import Events
from app.http.guards import Guards
from app.http.health import Health
from app.http.metrics import Metrics
from app.http.projections import Projections
from app.http.providers import Providers
from app.http.streams import Streams
from app.http.views import Views
from app.http.workflows import Workflows
from app.masks import Masks
from app.projections.builds import Builds
from app.projections.runners import Runners
from app.projections.set_aside import SetAsides
from app.projections.views import Views as ViewRows
from app.sandbox.ledger import Ledger
from app.sandbox.provider import Sandbox
from app.settings import Settings, require_guarded
from app.store.choose import database, embedded_postgres
from app.store.committer import Committer
from app.store.database import conninfo, pool, require_usable
from app.store.events import PostgresEvents
from app.store.generations import require_in_order
from app.store.heartbeat import Heartbeat
from app.store.held_back import watch
from app.store.history import History
from app.store.layout import require_known
from app.store.loading import Loading
from app.store.migrate import migrate
from app.store.outages import report
from app.store.overview import Overview, Waiting
from app.store.reader import Reader
from app.store.repository import Repository
from app.store.requests import Requests
from app.store.roles import grant
from app.store.sagas import PostgresSagas
from app.store.states import States
from app.store.tail import Tail
from app.store.undoing import Undoing
from domain.errors import Unusable
from workflows.book_group_trip import BookGroupTrip
from workflows.book_trip import BookTrip
from workflows.durable import runtime
from workflows.durable.engine import Engine, Options
from workflows.place_order import PlaceOrder
from workflows.saga import Saga
from workflows.transfer_money import TransferMoney

log = logging.getLogger("amends")

LEASE_LOST = 70
"""The exit status of a server whose lease was taken away."""
PROVIDER_SECONDS = 60.0


@dataclass(frozen=True)
class Service:
    """What serves: the engine and the API in front of it."""

    engine: Engine
    api: Guards


@dataclass(frozen=True)
class ReadModels:
    """The read models' tables, and who follows the feed for them here."""

    builds: Builds
    runners: Runners


def prepare(url: URL, owner: URL | None = None) -> URL:
    """Check the server and bring both schemas up to date; returns the URL that the service is to use.

    `owner` is who migrates, if that is somebody else. Raises Unusable.
    """
    owner = owner or url
    require_usable(url)
    require_usable(owner)
    runtime.migrate(conninfo(owner))
    for name in migrate(owner):
        log.info("Migrated: %s", name)
    require_known(owner, runtime.newest_migration())
    require_in_order(owner)
    return grant(owner, url)


def sagas(provider: ProviderClient, approval_limit: int) -> list[Saga[Any, Any]]:
    """Every business process that this server runs. A new one is added here."""
    return [
        PlaceOrder(HttpStock(provider), HttpPayments(provider), HttpCouriers(provider)),
        BookTrip(HttpTravel(provider)),
        TransferMoney(approval_limit),
        BookGroupTrip(),
    ]


def unconnected() -> ProviderClient:
    """A provider for those who look at sagas and run none."""
    return ProviderClient(httpx.AsyncClient(), Gates(1))


@asynccontextmanager
async def service(settings: Settings, url: URL, here: str, lost: Callable[[], None]) -> AsyncIterator[Service]:
    """Everything that runs in one process; `here` is the base URL at which its API will be served."""
    committer, readers = Committer(url, settings.connections), pool(url, settings.readers)
    books, own_token = pool(url, settings.readers), secrets.token_urlsafe(24)
    reader, beat = Reader(readers), Heartbeat(url)
    client = httpx.AsyncClient(
        base_url=settings.provider_url or f"{here}/sandbox",
        timeout=PROVIDER_SECONDS,
        headers={} if settings.provider_url else {"Authorization": f"Bearer {own_token}"},
        limits=httpx.Limits(max_connections=None),
    )
    sandbox, options = Sandbox(Ledger(books)), Options(settings.lease_seconds, settings.running)
    states, tail = States(committer, settings.snapshot_every), Tail(reader)
    store = PostgresSagas(committer, reader, states)
    gates = Gates(settings.provider_calls)
    known_sagas = sagas(ProviderClient(client, gates), settings.approval_limit)
    engine = Engine(known_sagas, store, conninfo(url), beat.beat, lost, options)
    known = catalogue()
    builds = Builds(known.projections, committer, reader)
    runners = Runners(builds, committer, reader, tail, engine.executor)
    read_models = ReadModels(builds, runners)
    routers = [
        *_routers(engine, committer, reader, states, tail, known, read_models),
        *([] if settings.provider_url else [sandbox.router]),
    ]
    tokens = settings.api_tokens and settings.api_tokens | {"amends": own_token}
    async with readers, books, client, sandbox.open():
        committer.start()
        await engine.launch()
        await runners.start()
        background = [
            asyncio.create_task(watch(reader), name="feed watch"),
            asyncio.create_task(report(committer, engine.executor, lambda: gates.outages), name="outages"),
        ]
        try:
            yield Service(engine, Guards(build(routers), tokens))
        finally:
            await engine.shut_down()
            await runners.stop()
            for task in background:
                task.cancel()
            tail.stop()
            await states.settle()
            await committer.stop()


def _routers(
    engine: Engine,
    committer: Committer,
    reader: Reader,
    states: States,
    tail: Tail,
    known: Catalogue,
    read_models: ReadModels,
) -> Iterator[APIRouter]:
    """The HTTP API in front of one engine."""
    builds, runners = read_models.builds, read_models.runners
    masks = Masks(known, [saga.definition for saga in engine.desk.sagas.values()])
    events, loading, requests = PostgresEvents(committer, reader), Loading(states, reader), Requests(reader)
    waiting, overview = Waiting(reader), Overview(reader)
    engine.on_rest, committer.on_commit = waiting.rests, tail.nudge
    yield Workflows(engine, overview, waiting, events, requests, masks).router
    yield Events(events, tail, masks, engine.draining).router
    history, undoing = History(events, loading, reader), Undoing(events, loading, reader)
    yield Streams(known, events, history, undoing, requests, masks).router
    yield Accounts(Repository(events, loading), requests).router
    yield Providers(reader).router
    yield Health(engine, reader).router
    yield Views(ViewRows(builds, events, reader), events).router
    yield Projections(builds, SetAsides(builds, committer, reader), runners, reader).router
    yield Metrics(engine, builds, reader).router


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises Unusable before anything else is begun."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise Unusable(
            f"Port {port} of {host} cannot be used: {error.strerror}.", "Choose another: --port 8001."
        ) from error
    made.setblocking(False)
    return made


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until a signal; the whole life of `./run up`."""
    require_guarded(settings, host)
    _log_to_stderr(settings.log_level)
    listening = bind(host, port)
    with listening, database(settings.database_url, settings.data_dir, settings.postgres_bin) as url:
        url = prepare(url, settings.owner_url)
        runner = asyncio.Runner(loop_factory=_event_loop())
        with runner:
            runner.run(_serve(settings, url, listening, host))


async def _serve(settings: Settings, url: URL, listening: socket.socket, host: str) -> None:
    port = listening.getsockname()[1]
    here = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::', 'localhost') else host}:{port}"  # noqa: S104
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    watch = asyncio.create_task(_watch_embedded(settings)) if settings.database_url is None else None
    async with service(settings, url, here, _exit_without_lease) as running:
        config = uvicorn.Config(
            running.api,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=3,
            lifespan="off",
            server_header=False,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started and not serving.done():  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.01)
        print(f"Amends is up: {here}", flush=True)
        await asyncio.wait([asyncio.create_task(stopping.wait()), serving], return_when=asyncio.FIRST_COMPLETED)
        log.info("Stopping: running steps finish, the rest is handed over.")
        await running.engine.shut_down()
        server.should_exit = True
        await serving
    if watch:
        watch.cancel()


class _Server(uvicorn.Server):
    """Leaves signals to us: steps that call this very server finish before it stops."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _watch_embedded(settings: Settings) -> None:
    """Start the embedded Postgres again if it dies under us."""
    embedded = embedded_postgres(settings.data_dir, settings.postgres_bin)
    while True:
        await asyncio.sleep(1.0)
        if await asyncio.to_thread(embedded.process) is None:
            log.warning("The embedded Postgres is gone; it is started again.")
            with suppress(Unusable):
                await asyncio.to_thread(embedded.start)


def _exit_without_lease() -> None:
    """Another executor has taken over: whatever still runs here may change nothing any more."""
    sys.stderr.write("This server's lease was taken over by another one, which goes on with its sagas. Exiting.\n")
    sys.stderr.flush()
    os._exit(LEASE_LOST)


def _event_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _log_to_stderr(level: str) -> None:
    form = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    form.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(form)
    logging.basicConfig(level=level, handlers=[handler])
    for noisy in ("httpx", "httpcore", "alembic", "uvicorn"):
        logging.getLogger(noisy).setLevel("WARNING")
