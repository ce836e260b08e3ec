"""The store of one process, a server or a command, and the parts that the team's code builds on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.amends.composition.parts_check import require_sound_parts
from app.amends.output.code_errors import team_code
from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.statements.committer import Committer
from app.amends.postgres.statements.reader import Reader
from app.amends.projections.inline import InlineProjections
from app.amends.projections.postgres_projections import PostgresProjections
from app.amends.schema.catalogue import DomainCatalogue, load_catalogue
from app.amends.schema.files import LockFiles
from app.amends.schema.register import ShapeRegister
from app.amends.service import Parts, Service, ServiceContext
from app.amends.settings import Settings
from app.amends.store.aggregates.loader import AggregateLoader
from app.amends.store.aggregates.repository import Repository
from app.amends.store.events.postgres_events import PostgresEvents
from app.amends.store.events.recent import RecentEvents
from app.amends.store.events.writer import EventWriter
from app.amends.store.feed.notifier import FeedNotifier
from app.amends.store.idempotent_requests import IdempotentRequests
from app.amends.store.sagas.postgres_sagas import PostgresSagas
from app.amends.store.shapes import PostgresShapes
from workflows.amends.projections.builds import ProjectionBuilds
from workflows.amends.providers import Providers
from workflows.amends.saga import Saga


@dataclass(frozen=True)
class Store:
    """The store that everything in one process shares."""

    known: DomainCatalogue
    committer: Committer
    reader: Reader
    loader: AggregateLoader
    writer: EventWriter
    feed_notifier: FeedNotifier
    inline: InlineProjections
    builds: ProjectionBuilds

    @classmethod
    def of(cls, settings: Settings, committer: Committer, reader: Reader) -> Store:
        """A store on a database; its committer is not started yet."""
        known, recent = load_catalogue(), RecentEvents()
        feed_notifier, inline = FeedNotifier(reader, recent), InlineProjections(known.projections, reader)
        loader = AggregateLoader(committer, reader, settings.snapshot_every, settings.value_bytes)
        projections = PostgresProjections(committer, reader)
        committer.on_commit = inline.on_commit = projections.on_commit = feed_notifier.read_now
        writer, builds = EventWriter(committer, inline, recent), ProjectionBuilds(known.projections, projections)
        return cls(known, committer, reader, loader, writer, feed_notifier, inline, builds)

    @property
    def events(self) -> PostgresEvents:
        """Its events."""
        return PostgresEvents(self.writer, self.reader)

    @property
    def shapes(self) -> PostgresShapes:
        """Its table of shapes."""
        return PostgresShapes(self.committer, self.reader)

    @property
    def sagas(self) -> PostgresSagas:
        """Its sagas."""
        return PostgresSagas(self.writer, self.reader, self.loader)

    def shape_register(self, service: Service[Any], sagas: Sequence[Saga[Any, Any]]) -> ShapeRegister:
        """The register of the shapes of all that is stored."""
        return ShapeRegister.of(self.known, [saga.definition for saga in sagas], LockFiles(service.root), self.shapes)

    async def stop(self) -> None:
        """Stop its background work; the committer last."""
        await self.feed_notifier.stop()
        await self.loader.settle()
        await self.committer.stop()


def build_parts(
    service: Service[Any], settings: Settings, store: Store, providers: Providers, pool: Pool, here: str, token: str
) -> Parts:
    """The parts of one process that the team's code builds. Raises StartupError for parts that cannot work."""
    repository = Repository(store.events, store.loader, settings.value_bytes)
    host = ServiceContext(settings, here, token, providers, repository, IdempotentRequests(store.reader), pool)
    with team_code():
        parts = service.build(host)
    return require_sound_parts(parts)
