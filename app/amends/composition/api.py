"""The HTTP API of one server: its routes, and the policy by which requests are let in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import APIRouter

from app.amends.bulk.dry_run import BulkDryRuns
from app.amends.bulk.runner import BulkRunner
from app.amends.composition.store import Store
from app.amends.http.requests.guards import HEALTH, AccessPolicy
from app.amends.http.routes.events import EventRoutes
from app.amends.http.routes.health import HealthRoutes
from app.amends.http.routes.live_followers import Followers
from app.amends.http.routes.metrics import MetricRoutes
from app.amends.http.routes.migration import MigrationRoutes
from app.amends.http.routes.operators.brakes import BrakeRoutes
from app.amends.http.routes.operators.bulk import BulkRoutes
from app.amends.http.routes.projections import ProjectionRoutes
from app.amends.http.routes.providers import ProviderRoutes
from app.amends.http.routes.streams import StreamRoutes
from app.amends.http.routes.views import ViewRoutes
from app.amends.http.routes.workflow_lists import WorkflowListRoutes
from app.amends.http.routes.workflows import WorkflowRoutes
from app.amends.postgres.connections.watch import DatabaseWatch as DatabaseWatch
from app.amends.postgres.liveness import Liveness
from app.amends.postgres.statements.reader import Reader
from app.amends.projections.row_queries import ReadModelQueries as ViewRows
from app.amends.projections.runners import Runners
from app.amends.redaction.redactor import Redactor
from app.amends.security.tokens import OWN, Caller, Role, Token
from app.amends.settings import Settings
from app.amends.store.aggregates.time_travel import TimeTravel
from app.amends.store.aggregates.undo import UndoRedo
from app.amends.store.brakes import PostgresBrakes
from app.amends.store.feed.losses import Losses
from app.amends.store.idempotent_requests import IdempotentRequests
from app.amends.store.sagas.causes import CauseGroups
from app.amends.store.sagas.recordings import PostgresRecordings
from app.amends.store.sagas.summaries import SagaSummaries, inactivity_waiter
from app.amends.watchdog.watchdog import Watchdog
from workflows.amends.acts.brake_administration import BrakeAdministration
from workflows.amends.acts.dry_runs import DryRuns
from workflows.amends.compatibility.migration import Migrations
from workflows.amends.compatibility.replay_log import CodeAtHand
from workflows.amends.executor.engine import Engine
from workflows.amends.projections.administration import ProjectionAdministration


@dataclass(frozen=True)
class HealthSources:
    """The parts that health and metrics show, beside the engine and the store."""

    database: DatabaseWatch
    liveness: Liveness
    looks: Reader
    """Reads for /metrics, on connections of its own."""
    watchdog: Watchdog
    followers: Followers
    losses: Losses


def amends_routers(
    engine: Engine,
    store: Store,
    runners: Runners,
    bulk: BulkRunner,
    redactor: Redactor,
    watched: HealthSources,
    service: str,
    long_wait: float,
) -> Iterator[APIRouter]:
    """The routes of Amends in front of one engine of a service of that name."""
    yield HealthRoutes(engine, watched.database, watched.liveness, store.committer).router
    metrics = MetricRoutes(
        engine, store.builds, watched.looks, watched.watchdog, watched.followers, watched.losses, service
    )
    yield metrics.router
    reader, events = store.reader, store.events
    loader, requests = store.loader, IdempotentRequests(reader)
    resting, overview = inactivity_waiter(reader), SagaSummaries(reader)
    engine.on_inactive = lambda saga: resting.resolve({saga: True})
    yield WorkflowListRoutes(overview, CauseGroups(reader, long_wait), redactor).router
    client, recordings = engine.saga_client, PostgresRecordings(reader)
    code = CodeAtHand.of(client, engine.options.limits, engine.argument_shapes)
    dry_runs = DryRuns(client, recordings, code)
    yield BulkRoutes(bulk, BulkDryRuns(bulk.acts, overview, dry_runs, client), client, requests, redactor).router
    yield WorkflowRoutes(engine, overview, resting, events, requests, redactor, dry_runs).router
    yield MigrationRoutes(engine, Migrations(store.sagas, recordings, client.sagas, code), requests).router
    brakes = PostgresBrakes(store.committer, reader)
    administered = BrakeAdministration(brakes, [saga.definition for saga in client.sagas.values()])
    yield BrakeRoutes(engine, brakes, administered, requests).router
    yield EventRoutes(events, store.feed_notifier, redactor, engine.draining, watched.followers).router
    limit = engine.options.limits.value
    history, undoing = TimeTravel(events, loader), UndoRedo(events, loader, limit)
    yield StreamRoutes(store.known, events, history, undoing, requests, redactor).router
    yield ProviderRoutes(reader).router
    yield ViewRoutes(ViewRows(store.builds, events), events, redactor).router
    administration = ProjectionAdministration(store.builds)
    yield ProjectionRoutes(store.builds, administration, runners, requests, reader).router


def access_policy(settings: Settings, here: str, token: str, private: Sequence[str]) -> AccessPolicy:
    """The access policy of the settings; the service itself has a token of its own, also for the `private` paths."""
    own = {OWN: Token(Caller(OWN, Role.operator), token)}
    return AccessPolicy(
        tokens=settings.api_tokens and settings.api_tokens | own,
        hosts={urlsplit(here).hostname or ""},
        open_to_all=(*HEALTH, "/metrics") if settings.open_metrics else HEALTH,
        private=tuple(private),
        largest=settings.request_bytes,
    )
