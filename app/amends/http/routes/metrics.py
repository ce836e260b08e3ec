"""Metrics in the format of Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, PROCESS_COLLECTOR, CollectorRegistry, Counter, Gauge, generate_latest

from app.amends.http.openapi.responses import responds
from app.amends.http.routes.live_followers import Followers
from app.amends.postgres.connections.pool import detached_task
from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.statements.reader import Reader
from app.amends.store.brakes import brakes_in_force
from app.amends.store.feed.lag import blocking_transaction
from app.amends.store.feed.losses import Losses
from app.amends.store.outages import provider_outages, waiting_sagas
from app.amends.watchdog.watchdog import Watchdog
from workflows.amends.executor.engine import Engine
from workflows.amends.projections.builds import ProjectionBuilds
from workflows.amends.projections.failures import short_key

SQL = load_statements(Path(__file__).with_name("metrics.sql"))
ANSWER_SECONDS = 0.8
"""How long one request waits for the database."""


class MetricRoutes:
    """The route /metrics: read anew at each call, so that nothing is counted twice or forgotten at a restart."""

    def __init__(
        self,
        engine: Engine,
        builds: ProjectionBuilds,
        reader: Reader,
        watchdog: Watchdog,
        followers: Followers,
        losses: Losses,
        service: str,
    ) -> None:
        self._engine, self._builds, self._reader, self._watchdog = engine, builds, reader, watchdog
        self._followers, self._losses, self._service = followers, losses, service
        self._asking: dict[str, asyncio.Task[CollectorRegistry]] = {}
        self.router = APIRouter(tags=["health"])
        self.router.add_api_route("/metrics", self.metrics, methods=["GET"], response_class=Response)

    @responds("text/plain")
    async def metrics(self) -> Response:
        """Metrics of this process and of the database; those that it does not give within a second are left out."""
        registry = CollectorRegistry()
        registry.register(PROCESS_COLLECTOR)
        self._of_process(registry)
        parts = {
            "feed": self._of_feed,
            "sagas": self._of_sagas,
            "providers": self._of_providers,
            "brakes": self._of_brakes,
            "projections": self._of_projections,
        }
        reading = {name: self._ask(name, part) for name, part in parts.items()}
        await asyncio.wait(reading.values(), timeout=ANSWER_SECONDS)
        about = "Whether a part could not be said now, for the database did not answer in time."
        missing = Gauge("amends_metrics_missing", about, ["part"], registry=registry)
        answered = b""
        for name, task in reading.items():
            fine = task.done() and task.exception() is None
            missing.labels(name).set(not fine)
            answered += generate_latest(task.result()) if fine else b""
        return Response(generate_latest(registry) + answered, media_type=CONTENT_TYPE_LATEST)

    def _ask(self, name: str, part: Callable[[CollectorRegistry], Awaitable[None]]) -> asyncio.Task[CollectorRegistry]:
        """The task that reads a part: one that still runs, or a new one."""

        async def ask() -> CollectorRegistry:
            registry = CollectorRegistry()
            await part(registry)
            return registry

        if name not in self._asking or self._asking[name].done():
            self._asking[name] = detached_task(ask())
        return self._asking[name]

    def _of_process(self, registry: CollectorRegistry) -> None:
        about = "The service whose process this is: 1."
        Gauge("amends_service", about, ["service"], registry=registry).labels(self._service).set(1)
        Gauge("amends_executor_ready", "Whether this executor's lease holds.", registry=registry).set(
            self._engine.ready
        )
        running = Gauge("amends_executor_running_sagas", "Sagas that run in this process.", registry=registry)
        running.set(len(self._engine.running))
        following = Gauge("amends_followers", "Clients that follow the feed live here.", registry=registry)
        following.set(self._followers.count)
        about = "How often this process noticed that events which were committed are gone."
        Counter("amends_history_went_back", about, registry=registry).inc(self._losses.times)
        about = "How many of them it has noticed; there may be more."
        Counter("amends_events_lost", about, registry=registry).inc(self._losses.events)
        labels = ["saga", "step"]
        about = "How often code of a saga kept the event loop from answering; both empty for other code."
        blocks = Counter("amends_event_loop_blocks", about, labels, registry=registry)
        seconds = Counter("amends_event_loop_blocked_seconds", "For how long altogether.", labels, registry=registry)
        for named, count in self._watchdog.blocks.items():
            blocks.labels(*named).inc(count)
            seconds.labels(*named).inc(self._watchdog.seconds[named])

    async def _of_feed(self, registry: CollectorRegistry) -> None:
        found = await blocking_transaction(self._reader)
        age = Gauge(
            "amends_feed_held_back_seconds", "Age of the oldest transaction that still writes.", registry=registry
        )
        age.set((found.seconds or 0) if found else 0)
        pid = Gauge("amends_feed_held_back_pid", "Its process in the database, 0 if there is none.", registry=registry)
        pid.set((found.pid or 0) if found else 0)
        about = "1 for a prepared transaction that holds the feed back."
        prepared = Gauge("amends_feed_held_back_prepared", about, ["gid", "database"], registry=registry)
        if found is not None and found.gid is not None:
            prepared.labels(found.gid, found.database or "").set(1)
        row = await self._reader.row(SQL["newest_position"], ())
        position = Gauge("amends_events_newest_position", "Position of the newest event.", registry=registry)
        position.set(row["position"] if row else 0)

    async def _of_providers(self, registry: CollectorRegistry) -> None:
        down = Gauge("amends_provider_down_sagas", "Sagas that wait for it.", ["provider"], registry=registry)
        about = "For how long it has been down."
        seconds = Gauge("amends_provider_down_seconds", about, ["provider"], registry=registry)
        for row in await provider_outages(self._reader):
            down.labels(row["provider"]).set(row["waiting"])
            seconds.labels(row["provider"]).set(max((datetime.now(UTC) - row["down_since"]).total_seconds(), 0))
        about = "Sagas that wait for it, down or just back."
        waiting = Gauge("amends_provider_waiting_sagas", about, ["provider"], registry=registry)
        for row in await waiting_sagas(self._reader):
            waiting.labels(row["provider"]).set(row["sagas"])

    async def _of_brakes(self, registry: CollectorRegistry) -> None:
        about = "Sagas that wait at a brake in force, of 10,000 at most."
        labels = ["brake", "saga", "version", "step", "provider"]
        waiting = Gauge("amends_brake_waiting_sagas", about, labels, registry=registry)
        about = "For how long a brake has been in force."
        seconds = Gauge("amends_brake_seconds", about, labels, registry=registry)
        for standing in await brakes_in_force(self._reader):
            brake = standing.brake
            named = (brake.id, *("" if value is None else str(value) for value in vars(brake.scope).values()))
            waiting.labels(*named).set(standing.waiting)
            seconds.labels(*named).set(max((datetime.now(UTC) - brake.set_at).total_seconds(), 0))

    async def _of_projections(self, registry: CollectorRegistry) -> None:
        labels = ["projection", "build", "state"]
        events = Gauge("amends_projection_lag_events", "Events that it has still to take.", labels, registry=registry)
        seconds = Gauge("amends_projection_lag_seconds", "Age of the first of them.", labels, registry=registry)
        aside = Gauge("amends_projection_set_aside", "Keys that wait for an operator.", labels, registry=registry)
        failing = Gauge("amends_projection_failing", "1 if it cannot go on.", labels, registry=registry)
        for build in await self._builds.all():
            orphaned = self._builds.is_orphaned(build.name)
            named = (build.name, str(build.build), "orphaned" if orphaned else build.state)
            failing.labels(*named).set(build.failure is not None or orphaned)
            lag = await self._builds.store.lag(build)
            events.labels(*named).set(lag.events)
            seconds.labels(*named).set(lag.seconds)
            aside.labels(*named).set(build.set_aside)
        for name in self._builds.unopened:
            failing.labels(name, "0", "missing").set(1)
        about = "Since when the oldest keys wait, in seconds of Unix time."
        labels = ["projection", "build", "key", "event", "position"]
        since = Gauge("amends_projection_set_aside_since", about, labels, registry=registry)
        for each in await self._builds.store.dead_letters():
            event = (each.type, str(each.position))
            since.labels(each.name, str(each.build), short_key(each.key), *event).set(each.since.timestamp())

    async def _of_sagas(self, registry: CollectorRegistry) -> None:
        sagas = Gauge("amends_sagas", "Sagas that are not finished.", ["status"], registry=registry)
        for row in await self._reader.rows(SQL["open_sagas"], ()):
            sagas.labels(row["status"]).set(row["count"])
        about = "Blocks longer than a lease, on record in any process since ever."
        blocks = Gauge("amends_event_loop_blocks_recorded", about, ["saga", "step"], registry=registry)
        for row in await self._reader.rows(SQL["recorded_blocks"], ()):
            blocks.labels(row["name"], row["step"]).set(row["count"])
        (found,) = await self._reader.rows(SQL["executors"], ())
        alive = Gauge("amends_executors", "Executors whose lease holds.", registry=registry)
        alive.set(found["alive"])
