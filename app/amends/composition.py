"""Puts one process together, a server or a command: the store, the read models, the engine, and the API in front."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter
from sqlalchemy import URL

from app.amends.http.api import build
from app.amends.http.requests.guards import HEALTH, Door, Guards
from app.amends.http.routes.events import Events
from app.amends.http.routes.following import Followers
from app.amends.http.routes.health import Health
from app.amends.http.routes.metrics import Metrics
from app.amends.http.routes.projections import Projections
from app.amends.http.routes.providers import Providers as ProviderRoutes
from app.amends.http.routes.streams import Streams
from app.amends.http.routes.views import Views
from app.amends.http.routes.workflows import Workflows
from app.amends.postgres.promises import watch_clock
from app.amends.postgres.urls import conninfo, formatted
from app.amends.projections.administration import Administration
from app.amends.projections.applying.inline import Inline
from app.amends.projections.builds import Builds
from app.amends.projections.runners import Runners
from app.amends.projections.views import Views as ViewRows
from app.amends.redaction.redactor import Redactor
from app.amends.schema.catalogue import Catalogue, catalogue
from app.amends.schema.files import LockFiles
from app.amends.schema.register import Register
from app.amends.security.tokens import OWN, Caller, Role, Token
from app.amends.server.serving import Serving
from app.amends.service import Host, Parts, Service
from app.amends.settings import Settings
from app.amends.store.aggregates.loading import Loading
from app.amends.store.aggregates.repository import Repository
from app.amends.store.aggregates.states import States
from app.amends.store.aggregates.time_travel import History
from app.amends.store.aggregates.undo import UndoRedo
from app.amends.store.connections.committer import Committer
from app.amends.store.connections.pool import Pool
from app.amends.store.connections.reader import Reader
from app.amends.store.connections.watch import Watch as DatabaseWatch
from app.amends.store.events import PostgresEvents
from app.amends.store.feed.lag import watch
from app.amends.store.feed.losses import Losses
from app.amends.store.feed.notifier import FeedNotifier
from app.amends.store.feed.remembered import Remembered
from app.amends.store.fingerprint.fingerprint import code_version
from app.amends.store.outages import report
from app.amends.store.overview import Overview, Waiting
from app.amends.store.requests import Requests
from app.amends.store.sagas import PostgresSagas
from app.amends.store.shapes import PostgresShapes, SagaKinds
from app.amends.watchdog.guard import Watchdog
from app.amends.watchdog.heartbeats import Heartbeats
from workflows.amends.background import end
from workflows.amends.dbos.engine import Engine, Options
from workflows.amends.providers import Providers
from workflows.amends.saga import Saga
from workflows.amends.values.limits import Limits

LOOKS = 4
"""How many connections are there for /metrics at most, which answers also where all others wait for a locked table."""


@dataclass(frozen=True)
class Store:
    """The store as everything in one process shares it."""

    known: Catalogue
    committer: Committer
    reader: Reader
    states: States
    feed_notifier: FeedNotifier
    inline: Inline
    builds: Builds
    remembered: Remembered

    @classmethod
    def of(cls, settings: Settings, committer: Committer, reader: Reader) -> Store:
        """A store on a database; its committer is not started yet."""
        known, remembered = catalogue(), Remembered()
        feed_notifier, inline = FeedNotifier(reader, remembered), Inline(known.projections, reader)
        states = States(committer, settings.snapshot_every, settings.value_bytes)
        committer.on_commit = inline.on_commit = feed_notifier.nudge
        builds = Builds(known.projections, reader)
        return cls(known, committer, reader, states, feed_notifier, inline, builds, remembered)

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

    @property
    def loading(self) -> Loading:
        """The aggregates in it."""
        return Loading(self.states, self.reader)

    def register(self, service: Service[Any], sagas: Sequence[Saga[Any, Any]]) -> Register:
        """The shapes of all that is stored in it."""
        return Register.of(self.known, [saga.definition for saga in sagas], LockFiles(service.root), self.shapes)


def parts_of(
    service: Service[Any], settings: Settings, store: Store, providers: Providers, pool: Pool, here: str, token: str
) -> Parts:
    """What the team's code makes of one process."""
    repository = Repository(store.events, store.loading, settings.value_bytes)
    return service.build(Host(settings, here, token, providers, repository, Requests(store.reader), pool))


@dataclass(frozen=True)
class Running:
    """What serves: the engine and the API in front of it."""

    engine: Engine
    api: Guards


@asynccontextmanager
async def running(
    service: Service[Any],
    settings: Settings,
    url: URL,
    here: str,
    lost: Callable[[], None],
    unfit: Callable[[], None],
) -> AsyncIterator[Running]:
    """Everything that runs in one server; `here` is the base URL at which its API will be served.

    `lost` is called, in a thread, when its lease was taken away and code of sagas does not end then, `unfit` when it
    cannot serve any more and should end.
    """
    readers, own, looks = Pool(url, settings.readers), Pool(url, settings.readers), Pool(url, LOOKS, "metrics")
    database, providers, token = _watched(url, readers, own, looks), Providers(settings.provider_calls), _secret()
    store = Store.of(settings, Committer(url, settings.connections), Reader(readers, database))
    for aggregate in store.known.aggregates.values():
        code_version(aggregate)  # of the code as it is now, before it has remembered anything
    parts = parts_of(service, settings, store, providers, own, here, token)
    engine = _engine(settings, url, parts.sagas, store, lost, providers)
    watchdog = Watchdog(url, engine.executor, settings.lease_seconds, engine.blocked)
    engine.became.append(watchdog.become)
    runners = Runners(store.builds, store.committer, store.reader, store.feed_notifier, lambda: engine.executor)
    followers = Followers(settings.followers)
    serving = Serving(store.reader, database, unfit)
    register, kinds = store.register(service, parts.sagas), SagaKinds(store.reader)
    redactor = Redactor(register, kinds)
    losses = Losses(store.remembered, store.events, store.committer, store.reader, lambda: engine.executor)
    database.on_moved += [store.committer.renew, engine.suspect, register.note]
    database.on_moved += [each.look_anew for each in (store.feed_notifier, kinds, store.inline, runners, losses)]
    routers = [
        Health(engine, database, serving, store.committer).router,
        Metrics(engine, store.builds, Reader(looks, database), watchdog, followers, losses).router,
        *_routers(engine, store, runners, redactor, followers),
        *parts.routers,
    ]
    door = _door(settings, here, token, parts.private)
    async with AsyncExitStack() as opened:
        for each in (readers, own, looks, *parts.resources):
            await opened.enter_async_context(each)
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
            yield Running(engine, Guards(build(routers, bool(door.tokens)), door))
        finally:
            await engine.shut_down()
            await watchdog.stop()
            await runners.stop()
            await end(*background)
            await database.stop()
            await store.feed_notifier.stop()
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


def _secret() -> str:
    return secrets.token_urlsafe(24)


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


def _door(settings: Settings, here: str, token: str, private: Sequence[str]) -> Door:
    own = {OWN: Token(Caller(OWN, Role.operator), token)}
    return Door(
        tokens=settings.api_tokens and settings.api_tokens | own,
        hosts={urlsplit(here).hostname or ""},
        open_to_all=(*HEALTH, "/metrics") if settings.open_metrics else HEALTH,
        private=tuple(private),
        largest=settings.request_bytes,
    )


def _routers(
    engine: Engine, store: Store, runners: Runners, redactor: Redactor, followers: Followers
) -> Iterator[APIRouter]:
    """The HTTP API in front of one engine."""
    reader, events = store.reader, store.events
    loading, requests = store.loading, Requests(reader)
    waiting, overview = Waiting(reader), Overview(reader)
    engine.on_rest = waiting.rests
    yield Workflows(engine, overview, waiting, events, requests, redactor).router
    yield Events(events, store.feed_notifier, redactor, engine.draining, followers).router
    limit = engine.options.limits.value
    history, undoing = History(events, loading, reader), UndoRedo(events, loading, reader, limit)
    yield Streams(store.known, events, history, undoing, requests, redactor).router
    yield ProviderRoutes(reader).router
    yield Views(ViewRows(store.builds, events, reader), events, redactor).router
    acts = Administration(store.builds, reader, store.feed_notifier.nudge)
    yield Projections(store.builds, acts, runners, requests, reader).router
