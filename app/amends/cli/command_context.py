"""The command line's access to the database, with or without a running server."""

from __future__ import annotations

import getpass
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL

from app.amends.bulk.bulk_acts import BulkActs
from app.amends.bulk.dry_run import BulkDryRuns
from app.amends.composition.store import Store, build_parts
from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.statements.committer import Committer
from app.amends.postgres.statements.reader import Reader
from app.amends.redaction.redactor import Redactor
from app.amends.schema.catalogue import DomainCatalogue
from app.amends.schema.register import ShapeRegister
from app.amends.service import Service
from app.amends.settings import Settings
from app.amends.store.aggregates.time_travel import TimeTravel
from app.amends.store.brakes import PostgresBrakes
from app.amends.store.events.postgres_events import PostgresEvents
from app.amends.store.feed.notifier import FeedNotifier
from app.amends.store.sagas.causes import CauseGroups
from app.amends.store.sagas.recordings import PostgresRecordings
from app.amends.store.sagas.summaries import SagaSummaries
from app.amends.store.shapes import PostgresSagaLookup
from domain.amends.event import Cause
from workflows.amends.acts.brake_administration import BrakeAdministration
from workflows.amends.acts.dry_runs import DryRuns
from workflows.amends.client import SagaClient
from workflows.amends.compatibility.migration import Migrations
from workflows.amends.compatibility.replay_log import CodeAtHand
from workflows.amends.definition import Definition
from workflows.amends.projections.administration import ProjectionAdministration
from workflows.amends.projections.builds import ProjectionBuilds
from workflows.amends.providers import Providers
from workflows.amends.values.limits import Limits


@dataclass(frozen=True)
class CommandContext:
    """The parts that commands use; sagas that they start are queued, and a server takes them."""

    saga_client: SagaClient
    overview: SagaSummaries
    causes: CauseGroups
    events: PostgresEvents
    history: TimeTravel
    catalogue: DomainCatalogue
    register: ShapeRegister
    redactor: Redactor
    reader: Reader
    committer: Committer
    feed_notifier: FeedNotifier
    builds: ProjectionBuilds
    administration: ProjectionAdministration
    code: CodeAtHand
    migrations: Migrations
    brakes: PostgresBrakes
    brake_administration: BrakeAdministration
    dry_runs: DryRuns

    @property
    def bulk_acts(self) -> BulkActs:
        """Acts on many sagas, which a server works off."""
        return BulkActs(self.committer, self.reader)

    @property
    def bulk_dry_runs(self) -> BulkDryRuns:
        """Such acts, tried out."""
        return BulkDryRuns(self.bulk_acts, self.overview, self.dry_runs, self.saga_client)

    @property
    def cause(self) -> Cause:
        """The cause of what the user of the command line does."""
        return Cause(actor=f"cli:{getpass.getuser()}")


@asynccontextmanager
async def command_context(service: Service[Any], settings: Settings, url: URL) -> AsyncIterator[CommandContext]:
    """Open the database for a few commands."""
    readers, committer = Pool(url, 2), Committer(url, 1)
    async with readers:
        committer.start()
        reader = Reader(readers)
        store = Store.of(settings, committer, reader)
        try:
            parts = build_parts(service, settings, store, Providers(), readers, "http://127.0.0.1", "")
            client, register = SagaClient(parts.sagas, store.sagas), store.shape_register(service, parts.sagas)
            limits = Limits(settings.value_bytes, settings.commit_bytes, provider=settings.provider_wait_seconds)
            code = CodeAtHand.of(client, limits, register.argument_shapes)
            brakes = PostgresBrakes(committer, reader)
            recordings = PostgresRecordings(reader)
            yield CommandContext(
                client,
                SagaSummaries(reader),
                CauseGroups(reader, settings.long_wait_seconds),
                store.events,
                TimeTravel(store.events, store.loader),
                store.known,
                register,
                Redactor(register, PostgresSagaLookup(reader)),
                reader,
                committer,
                store.feed_notifier,
                store.builds,
                ProjectionAdministration(store.builds),
                code,
                Migrations(store.sagas, recordings, client.sagas, code),
                brakes,
                BrakeAdministration(brakes, [saga.definition for saga in parts.sagas]),
                DryRuns(client, recordings, code),
            )
        finally:
            await store.stop()


def definitions(service: Service[Any], settings: Settings) -> list[Definition]:
    """The definitions of a service's sagas; no database is needed."""
    return [saga.definition for saga in client_without_database(service, settings).sagas.values()]


def client_without_database(service: Service[Any], settings: Settings) -> SagaClient:
    """A client that knows the sagas of a service, and can do nothing with them that needs a database."""
    nowhere = URL.create("postgresql", database="nowhere")
    readers = Pool(nowhere, 1)
    store = Store.of(settings, Committer(nowhere, 1), Reader(readers))
    parts = build_parts(service, settings, store, Providers(), readers, "http://127.0.0.1", "")
    return SagaClient(parts.sagas, store.sagas)
