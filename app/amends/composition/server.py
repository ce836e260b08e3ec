"""One server: all that runs in it is made first, then started in one order and stopped in another."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from app.amends.bulk.bulk_acts import BulkActs
from app.amends.bulk.runner import BulkRunner
from app.amends.composition.api import HealthSources, access_policy, amends_routers
from app.amends.composition.parts_check import warn_of_unlisted_sagas
from app.amends.composition.store import Store, build_parts
from app.amends.http.api import build_api
from app.amends.http.requests.guards import Guards
from app.amends.http.routes.live_followers import Followers
from app.amends.postgres.checks.durability import watch_clock
from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.connections.watch import DatabaseWatch as DatabaseWatch
from app.amends.postgres.liveness import Liveness
from app.amends.postgres.statements.committer import Committer
from app.amends.postgres.statements.reader import Reader
from app.amends.postgres.urls import conninfo, with_value_formats
from app.amends.projections.runners import Runners
from app.amends.recordings.new_code import check_new_code, unchecked_sagas
from app.amends.redaction.redactor import Redactor
from app.amends.schema.register import ShapeRegister
from app.amends.service import Parts, Service
from app.amends.settings import Settings
from app.amends.store.code_fingerprint.fingerprint import code_version
from app.amends.store.code_fingerprint.sources import sources_version
from app.amends.store.feed.lag import warn_of_feed_lag
from app.amends.store.feed.losses import Losses
from app.amends.store.outages import report_outages
from app.amends.store.sagas.checked_code import CheckedCode
from app.amends.store.sagas.heartbeats import Heartbeats
from app.amends.store.sagas.recordings import PostgresRecordings
from app.amends.store.shapes import PostgresSagaLookup
from app.amends.watchdog.watchdog import Watchdog
from workflows.amends.background import cancel_tasks
from workflows.amends.dbos.engine import engine_on_dbos
from workflows.amends.engine.steps.argument_shapes import ArgumentShapes
from workflows.amends.executor.engine import Engine, Options
from workflows.amends.providers import Providers
from workflows.amends.saga import Saga
from workflows.amends.values.limits import Limits

LOOKS = 4
"""The most connections for /metrics, which answers also where all others wait for a locked table."""


@dataclass(frozen=True)
class ServerProcess:
    """The process around a server."""

    here: str
    """The base URL at which its API will be served."""
    stop_seconds: float
    """How long it goes on at most after it was asked to stop."""
    lost: Callable[[], None]
    """Called, in a thread, when its lease was taken away and code of sagas does not end then."""
    unfit: Callable[[], None]
    """Called when it cannot serve any more and should end."""


@dataclass(frozen=True)
class Database:
    """The connections of one server: pools for reads, for the team's own tables, and for metrics, and the watch."""

    readers: Pool
    own: Pool
    looks: Pool
    watch: DatabaseWatch

    @classmethod
    def of(cls, url: URL, settings: Settings) -> Database:
        """Pools that react to what the watch sees; nothing is opened yet."""
        pools = Pool(url, settings.readers), Pool(url, settings.readers), Pool(url, LOOKS, "metrics")
        watch = DatabaseWatch(url)
        for each in pools:
            each.is_away = watch.is_away
            watch.on_silent.append(each.fail_reads)
            watch.on_moved.append(each.discard_connections)
        return cls(*pools, watch)


@dataclass(frozen=True)
class RunningServer:
    """A server as it serves: the engine, and the API in front of it."""

    engine: Engine
    api: Guards
    notes: Sequence[str]
    """What the service itself has to say to whoever started it."""


@dataclass(frozen=True)
class Server:
    """The parts of one server, made and not started."""

    database: Database
    parts: Parts
    store: Store
    engine: Engine
    providers: Providers
    register: ShapeRegister
    runners: Runners
    bulk: BulkRunner
    watchdog: Watchdog
    liveness: Liveness
    losses: Losses
    api: Guards
    root: Path

    @asynccontextmanager
    async def running(self) -> AsyncIterator[RunningServer]:
        """Start everything, in the order in which it is needed; stop it at the end."""
        async with AsyncExitStack() as opened:
            for each in (self.database.readers, self.database.own, self.database.looks, *self.parts.resources):
                await opened.enter_async_context(each)
            unchecked = await self._start()
            background = [asyncio.create_task(work, name=name) for name, work in self._background(unchecked).items()]
            try:
                yield RunningServer(self.engine, self.api, self.parts.notes)
            finally:
                await self._stop(background)

    async def _start(self) -> int | None:
        """Start what serves; returns how many sagas are unfinished, if this code was not checked against them yet."""
        self.database.watch.start()
        self.store.committer.start()
        self.store.feed_notifier.start()
        await self.register.note_shapes()  # what is written from now on is masked by other servers too,
        await self.store.builds.note_reads()  # and is waited for
        unchecked = await unchecked_sagas(self._checked_code(), PostgresRecordings(self.store.reader))
        await self.engine.launch()
        self.watchdog.start()
        await self.runners.start()
        self.bulk.start()
        return unchecked

    def _background(self, unchecked: int | None) -> dict[str, Coroutine[Any, Any, None]]:
        """Background work, by name; with a check of the code here if so many sagas are `unchecked`."""
        work: dict[str, Coroutine[Any, Any, None]] = {
            "feed watch": warn_of_feed_lag(self.store.reader),
            "clock watch": watch_clock(self.store.reader),
            "liveness": self.liveness.watch(),
            "outages": report_outages(self.store.committer, lambda: self.engine.executor, self.providers),
        }
        if unchecked is not None:
            known = self._checked_code()
            work["new code"] = check_new_code(known, unchecked, lambda: self.engine.executor, self.root)
        return work

    def _checked_code(self) -> CheckedCode:
        modules = [saga.definition.module for saga in self.parts.sagas]
        return CheckedCode(self.store.committer, self.store.reader, sources_version(modules, self.root))

    async def _stop(self, background: Sequence[asyncio.Task[None]]) -> None:
        await self.bulk.stop()
        await self.engine.shut_down()
        await self.watchdog.stop()
        await self.runners.stop()
        await cancel_tasks(*background)
        await self.database.watch.stop()
        await self.store.stop()


def build_server(service: Service[Any], settings: Settings, url: URL, process: ServerProcess) -> Server:
    """One server of a service on a database that is up to date; nothing of it is opened yet."""
    database, providers, token = Database.of(url, settings), Providers(settings.provider_calls), _secret()
    store = Store.of(settings, Committer(url, settings.connections), Reader(database.readers, database.watch))
    for aggregate in store.known.aggregates.values():
        code_version(aggregate)  # of the code as it is now, before it has remembered anything
    parts = build_parts(service, settings, store, providers, database.own, process.here, token)
    warn_of_unlisted_sagas(parts.sagas)
    register, kinds = store.shape_register(service, parts.sagas), PostgresSagaLookup(store.reader)
    engine = _engine(settings, url, parts.sagas, store, process.lost, providers, register.argument_shapes)
    json_lines = settings.log_format == "json"
    watchdog = Watchdog(
        url, engine.executor, settings.lease_seconds, engine.deliver_blocked, process.stop_seconds, json_lines
    )
    engine.on_new_executor.append(watchdog.change_executor)
    runners = Runners(store.builds, store.feed_notifier, lambda: engine.executor)
    bulk = BulkRunner(BulkActs(store.committer, store.reader), engine.saga_client, engine, lambda: engine.executor)
    liveness = Liveness(store.reader, database.watch, process.unfit)
    losses = Losses(store.writer.recent, store.events, store.committer, store.reader, lambda: engine.executor)
    moved = database.watch.on_moved
    moved += [store.committer.resend_all, engine.suspect_losses, register.note_shapes]
    moved += [each.on_new_server_run for each in (store.feed_notifier, kinds, store.inline, runners, losses)]
    looks = Reader(database.looks, database.watch)
    followers, redactor = Followers(settings.followers), Redactor(register, kinds)
    watched = HealthSources(database.watch, liveness, looks, watchdog, followers, losses)
    ours = amends_routers(engine, store, runners, bulk, redactor, watched, service.name, settings.long_wait_seconds)
    routers = [*ours, *parts.routers]
    policy = access_policy(settings, process.here, token, parts.private)
    api = Guards(build_api(routers, bool(policy.tokens), parts.sagas, service.title), policy)
    made = (database, parts, store, engine, providers, register, runners, bulk, watchdog, liveness, losses, api)
    return Server(*made, service.root)


def _secret() -> str:
    return secrets.token_urlsafe(24)


def _engine(
    settings: Settings,
    url: URL,
    sagas: Sequence[Saga[Any, Any]],
    store: Store,
    lost: Callable[[], None],
    providers: Providers,
    shapes: ArgumentShapes,
) -> Engine:
    limits = Limits(settings.value_bytes, settings.commit_bytes, provider=settings.provider_wait_seconds)
    options = Options(settings.lease_seconds, settings.running, limits)
    address = conninfo(with_value_formats(url))
    return engine_on_dbos(sagas, store.sagas, address, Heartbeats(url).renew_lease, lost, options, providers, shapes)
