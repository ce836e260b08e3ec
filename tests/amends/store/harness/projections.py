"""A read model in the database without a server: as much as the tests of following and rebuilding need."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from uuid import uuid4

from sqlalchemy import URL

from app.amends.projections.row_queries import ReadModelQueries
from app.amends.store.events.postgres_events import PostgresEvents
from app.amends.store.feed.notifier import FeedNotifier
from domain.amends.aggregate import Aggregate
from domain.amends.event import Cause, event
from domain.amends.projection import Projection, Recorded
from tests.amends.store.harness.sagas import Store, store
from workflows.amends.ports.event_store import FeedCursor, new_business_event
from workflows.amends.ports.projection_builds import BuildTarget, DeadLetter, FeedEvent, ProjectionBuild
from workflows.amends.projections.administration import ProjectionAdministration
from workflows.amends.projections.builds import ProjectionBuilds
from workflows.amends.projections.feed import recorded_event
from workflows.amends.projections.runner import Runner

LONG_AGO = "update amends.builds set touched_at = now() - interval '1 min'"
"""Nobody has followed any read model for long, as only the owner can say."""
NAME = "lamp_board"


@event("bench-lamp-lit")
class Lit:
    watts: int
    note: str | None = "lit"


@event("bench-lamp-out")
class Out:
    """The lamp is gone."""


@event("bench-lamp-moved")
class Elsewhere:
    """Something that no read model here looks at."""


def count(total: int, event: Lit | Out | Elsewhere) -> int:
    return total + 1


lamps = Aggregate("lamp", initial=0, evolve=count)


@dataclass(frozen=True)
class Lamp:
    lamp: str
    watts: int
    times: int
    note: str = ""


@dataclass(frozen=True)
class Wide:
    """The row of another version: other columns."""

    lamp: str
    watts: int
    bright: bool


broken: set[int] = set()
"""Watts that the code cannot deal with, until it is mended."""


def evolve(row: Lamp | None, told: Recorded[Lit | Out]) -> Lamp | None:
    match told.event:
        case Lit() as lit:
            if lit.watts in broken:
                raise ValueError(f"{lit.watts} watts cannot be")
            now = row or Lamp(told.key, 0, 0)
            return replace(now, watts=now.watts + lit.watts, times=now.times + 1, note=lit.note)  # type: ignore[arg-type]
        case Out():
            return None


def widely(row: Wide | None, told: Recorded[Lit | Out]) -> Wide | None:
    match told.event:
        case Lit() as lit:
            watts = lit.watts + (row.watts if row else 0)
            return Wide(told.key, watts, watts > 100)
        case Out():
            return None


board = Projection(NAME, version=1, of=lamps, evolve=evolve, key="lamp", indexes=[("watts",)])
wide = Projection(NAME, version=2, of=lamps, evolve=widely, key="lamp")


@dataclass
class Board:
    """The read model with those who write to it and follow for it."""

    store: Store
    known: dict[tuple[str, int], Projection[Any, Any]]
    events: PostgresEvents
    runners: list[Runner] = field(default_factory=list)

    @property
    def builds(self) -> ProjectionBuilds:
        return ProjectionBuilds(self.known, self.store.projections)

    @cached_property
    def views(self) -> ReadModelQueries:
        return ReadModelQueries(self.builds, self.events)

    async def dead_letters(self) -> list[DeadLetter]:
        return await self.store.projections.dead_letters()

    @property
    def administration(self) -> ProjectionAdministration:
        return ProjectionAdministration(self.builds)

    async def rebuild(self) -> ProjectionBuild:
        """Begin a table of the newest version; nobody follows for it yet."""
        begun = await self.administration.rebuild(NAME, Cause())
        return await self.build(begun["build"])

    async def promote(self, build: int | None = None) -> ProjectionBuild:
        promoted = await self.administration.promote(NAME, build, Cause())
        return await self.build(promoted["build"])

    async def drop(self, build: int | None = None) -> int:
        dropped: int = (await self.administration.drop(NAME, build, Cause()))["dropped"]
        return dropped

    async def append(self, id: str, *told: object) -> FeedCursor:
        appended = await self.events.append([new_business_event(f"lamp-{id}", each, Cause()) for each in told])
        return appended.cursor  # type: ignore[union-attr]

    def runner(self, build: int = 1, version: int = 1) -> Runner:
        projection, reader = self.known[NAME, version], self.store.reader
        return Runner(
            projection, BuildTarget(NAME, build), self.store.projections, FeedNotifier(reader), f"test/{uuid4()}"
        )

    async def follow(self) -> None:
        """Let a runner for each table follow the feed to its end."""
        for build in await self.builds.all(NAME):
            await self.runner(build.build, build.version).catch_up()

    async def build(self, number: int = 1) -> ProjectionBuild:
        return await self.builds.get(NAME, number)

    async def rows(self) -> dict[str, Any]:
        """What the view shows, by key."""
        found, _ = await self.views.rows(NAME, {}, None, 10_000)
        return {row["lamp"]: row for row in found}

    async def expected(self, version: int = 1) -> dict[str, Any]:
        """What all events add up to, by the projection alone."""
        projection = self.known[NAME, version]
        history: Sequence[Any] = [
            recorded_event(projection, FeedEvent.of(each))
            for each in await self.events.feed(limit=100_000)
            if each.name in ("bench-lamp-lit", "bench-lamp-out")
        ]
        return {key: vars(row) for key, row in projection(history).items()}


def runner_of(it: Board, projection: Projection[Any, Any], build: int = 1) -> Runner:
    """A runner of whatever projection."""
    store = it.store
    target, token = BuildTarget(projection.name, build), f"test/{uuid4()}"
    return Runner(projection, target, store.projections, FeedNotifier(store.reader), token)


@asynccontextmanager
async def board_on(url: URL, *versions: Projection[Any, Any], connections: int = 4) -> AsyncIterator[Board]:
    broken.clear()
    async with store(url, connections=connections) as it:
        known = {(each.name, each.version): each for each in versions or (board,)}
        made = Board(it, known, PostgresEvents(it.writer, it.reader))
        await made.builds.create_first_builds()
        yield made
