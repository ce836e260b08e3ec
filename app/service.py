"""Everything that runs in one process, put together: the engine, the read models, and the API in front of them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from fastapi import APIRouter
from sqlalchemy import URL

from app.catalogue import Catalogue, catalogue
from app.gateways.provider import Connections
from app.http.accounts import Accounts
from app.http.api import build
from app.http.events import Events
from app.http.following import Followers
from app.http.guards import HEALTH, Door, Guards
from app.http.health import Health
from app.http.metrics import Metrics
from app.http.projections import Projections
from app.http.providers import Providers as ProviderRoutes
from app.http.streams import Streams
from app.http.views import Views
from app.http.workflows import Workflows
from app.loopback import is_loopback, is_unspecified
from app.masks import Masks
from app.processes import sagas
from app.projections.acts import Acts
from app.projections.builds import Builds
from app.projections.inline import Inline
from app.projections.runners import Runners
from app.projections.views import Views as ViewRows
from app.providers.http import CONNECT_SECONDS
from app.register import Register
from app.sandbox.ledger import Ledger
from app.sandbox.provider import Sandbox
from app.settings import Settings
from app.store.committer import Committer
from app.store.database import Pool
from app.store.events import PostgresEvents
from app.store.fingerprint import code_version
from app.store.held_back import watch
from app.store.history import History
from app.store.loading import Loading
from app.store.losses import Losses
from app.store.outages import report
from app.store.overview import Overview, Waiting
from app.store.promises import watch_clock
from app.store.reader import Reader
from app.store.remembered import Remembered
from app.store.repository import Repository
from app.store.requests import Requests
from app.store.sagas import PostgresSagas
from app.store.serving import Serving
from app.store.shapes import PostgresShapes, SagaKinds
from app.store.states import States
from app.store.tail import Tail
from app.store.undoing import Undoing
from app.store.urls import conninfo, formatted
from app.store.watch import Watch as DatabaseWatch
from app.tokens import OWN, Caller, Role, Token
from app.watchdog.guard import Watchdog
from app.watchdog.heartbeats import Heartbeats
from workflows.durable.engine import Engine, Options
from workflows.durable.tasks import end
from workflows.limits import Limits
from workflows.providers import Providers
from workflows.saga import Saga

LOOKS = 4
"""How many connections are there for /metrics at most, which answers also where all others wait for a locked table."""
PROVIDER_SECONDS = 60.0
KEPT_SECONDS = 2.0
"""How long a connection to the provider is kept for the next call: shorter than servers keep theirs, which is 5 s or
more, or a call would be sent just as its connection is closed, and its outcome unknown."""


@dataclass(frozen=True)
class Service:
    """What serves: the engine and the API in front of it."""

    engine: Engine
    api: Guards


@dataclass(frozen=True)
class Store:
    """The store as everything in one process shares it."""

    known: Catalogue
    committer: Committer
    reader: Reader
    states: States
    tail: Tail
    inline: Inline
    builds: Builds
    remembered: Remembered

    @classmethod
    def of(cls, settings: Settings, url: URL, reader: Reader) -> Store:
        """A store on a database; its committer is not started yet."""
        committer, known, remembered = Committer(url, settings.connections), catalogue(), Remembered()
        tail = Tail(reader, remembered)
        inline, states = (
            Inline(known.projections, reader),
            States(committer, settings.snapshot_every, settings.value_bytes),
        )
        committer.on_commit = inline.on_commit = tail.nudge
        for aggregate in known.aggregates.values():
            code_version(aggregate)  # of the code as it is now, before it has remembered anything
        builds = Builds(known.projections, reader)
        return cls(known, committer, reader, states, tail, inline, builds, remembered)

    @property
    def events(self) -> PostgresEvents:
        """The events in it."""
        return PostgresEvents(self.committer, self.reader, self.inline, self.remembered)

    @property
    def shapes(self) -> PostgresShapes:
        """The shapes that are noted in it."""
        return PostgresShapes(self.committer, self.reader)

    @property
    def sagas(self) -> PostgresSagas:
        """The sagas in it."""
        return PostgresSagas(self.committer, self.reader, self.states, self.inline, self.remembered)


@asynccontextmanager
async def service(
    settings: Settings,
    url: URL,
    here: str,
    lost: Callable[[], None],
    unfit: Callable[[], None],
    more: Sequence[Saga[Any, Any]] = (),
) -> AsyncIterator[Service]:
    """Everything that runs in one process; `here` is the base URL at which its API will be served.

    `lost` is called, in a thread, when its lease was taken away and code of sagas does not end then, `unfit` when it
    cannot serve any more and should end.
    `more` are sagas beside those of app/processes.py.
    """
    readers, books, own_token = Pool(url, settings.readers), Pool(url, settings.readers), secrets.token_urlsafe(24)
    looks, client = Pool(url, LOOKS, "metrics"), service_client(settings, here, own_token)
    database, providers = _watched(url, readers, books, looks), Providers(settings.provider_calls)
    store, sandbox = Store.of(settings, url, Reader(readers, database)), Sandbox(Ledger(books))
    known_sagas = sagas(Connections(client, providers), settings.approval_limit)
    engine = _engine(settings, url, [*known_sagas, *more], store, lost, providers)
    watchdog = Watchdog(url, engine.executor, settings.lease_seconds, engine.blocked)
    engine.became.append(watchdog.become)
    runners = Runners(store.builds, store.committer, store.reader, store.tail, lambda: engine.executor)
    followers = Followers(settings.followers)
    serving = Serving(store.reader, database, unfit)
    register = Register.of(store.known, [saga.definition for saga in engine.desk.sagas.values()], store.shapes)
    kinds = SagaKinds(store.reader)
    masks = Masks(register, kinds)
    losses = Losses(store.remembered, store.events, store.committer, store.reader, lambda: engine.executor)
    database.on_moved += [store.committer.renew, engine.suspect, register.note]
    database.on_moved += [each.look_anew for each in (store.tail, kinds, store.inline, runners, losses)]
    routers = [
        Health(engine, database, serving, store.committer).router,
        Metrics(engine, store.builds, Reader(looks, database), watchdog, followers, losses).router,
        *_routers(engine, store, runners, masks, followers),
        *([] if settings.provider_url else [sandbox.router]),
    ]
    door = _door(settings, here, own_token)
    async with readers, books, looks, client, sandbox.open():
        database.start()
        store.committer.start()
        await register.note()  # what is written from now on is masked by other servers too,
        await store.builds.note_reads()  # and is waited for
        await engine.launch()
        watchdog.start()
        await runners.start()
        background = [
            asyncio.create_task(work, name=name)
            for name, work in {
                "feed watch": watch(store.reader),
                "clock watch": watch_clock(store.reader),
                "serving": serving.watch(),
                "losses": losses.watch(),
                "outages": report(store.committer, lambda: engine.executor, providers),
            }.items()
        ]
        try:
            yield Service(engine, Guards(build(routers, bool(door.tokens)), door))
        finally:
            await engine.shut_down()
            await watchdog.stop()
            await runners.stop()
            await end(*background)
            await database.stop()
            await store.tail.stop()
            await store.states.settle()
            await store.committer.stop()


def _watched(url: URL, *pools: Pool) -> DatabaseWatch:
    """A watch of the database that tells these pools what it sees."""
    database = DatabaseWatch(url)
    for each in pools:
        each.is_away = database.is_away
        database.on_silent.append(each.end_reads)
        database.on_moved.append(each.renew)
    return database


def _engine(
    settings: Settings,
    url: URL,
    sagas: Sequence[Saga[Any, Any]],
    store: Store,
    lost: Callable[[], None],
    providers: Providers,
) -> Engine:
    limits = Limits(settings.value_bytes, settings.commit_bytes, provider=settings.provider_wait_seconds)
    options = Options(settings.lease_seconds, settings.running, limits)
    return Engine(sagas, store.sagas, conninfo(formatted(url)), Heartbeats(url).beat, lost, options, providers)


def _door(settings: Settings, here: str, own_token: str) -> Door:
    own = {OWN: Token(Caller(OWN, Role.operator), own_token)}
    return Door(
        tokens=settings.api_tokens and settings.api_tokens | own,
        hosts={urlsplit(here).hostname or ""},
        open_to_all=(*HEALTH, "/metrics") if settings.open_metrics else HEALTH,
        open_sandbox=settings.open_sandbox,
        largest=settings.request_bytes,
    )


def service_client(settings: Settings, here: str, own_token: str) -> httpx.AsyncClient:
    """What the provider is called with: another one, or the sandbox of this very server by a token of its own.

    A proxy from the environment is for other machines: whatever is served on this one is called without.
    """
    url = httpx.URL(settings.provider_url or f"{here}/sandbox")
    return httpx.AsyncClient(
        base_url=url,
        trust_env=not (is_loopback(url.host) or is_unspecified(url.host)),
        timeout=httpx.Timeout(PROVIDER_SECONDS, connect=CONNECT_SECONDS),
        headers={} if settings.provider_url else {"Authorization": f"Bearer {own_token}"},
        limits=httpx.Limits(max_connections=None, keepalive_expiry=KEPT_SECONDS),
    )


def _routers(engine: Engine, store: Store, runners: Runners, masks: Masks, followers: Followers) -> Iterator[APIRouter]:
    """The HTTP API in front of one engine."""
    reader, events = store.reader, store.events
    loading, requests = Loading(store.states, reader), Requests(reader)
    waiting, overview = Waiting(reader), Overview(reader)
    engine.on_rest = waiting.rests
    yield Workflows(engine, overview, waiting, events, requests, masks).router
    yield Events(events, store.tail, masks, engine.draining, followers).router
    limit = engine.options.limits.value
    history, undoing = History(events, loading, reader), Undoing(events, loading, reader, limit)
    yield Streams(store.known, events, history, undoing, requests, masks).router
    yield Accounts(Repository(events, loading, limit), requests).router
    yield ProviderRoutes(reader).router
    yield Views(ViewRows(store.builds, events, reader), events, masks).router
    acts = Acts(store.builds, reader, store.tail.nudge)
    yield Projections(store.builds, acts, runners, requests, reader).router
