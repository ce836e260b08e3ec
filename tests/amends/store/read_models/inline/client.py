"""A store whose appends write the balance of accounts into a read model, and one of a server that does not know it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import uuid4

from sqlalchemy import URL

from app.amends.projections.inline import InlineProjections
from app.amends.projections.row_queries import ReadModelQueries
from app.amends.store.events.postgres_events import PostgresEvents
from app.amends.store.events.writer import EventWriter
from app.amends.store.feed.notifier import FeedNotifier
from domain.amends.event import Cause
from domain.amends.projection import Projection, Recorded
from tests.amends.business.account import AccountOpened, MoneyDeposited, MoneyWithdrawn, accounts
from tests.amends.store.harness.sagas import Store, store
from workflows.amends.ports.event_store import NewEvent, new_business_event
from workflows.amends.ports.projection_builds import BuildTarget
from workflows.amends.projections.administration import ProjectionAdministration
from workflows.amends.projections.builds import ProjectionBuilds
from workflows.amends.projections.runner import Runner

POISON = 666


Doing = Literal["opened", "deposited", "withdrawn"]


@dataclass(frozen=True)
class Now:
    account_id: str
    balance: int
    last: Doing


def evolve(row: Now | None, recorded: Recorded[AccountOpened | MoneyDeposited | MoneyWithdrawn]) -> Now | None:
    told = recorded.event
    match told:
        case AccountOpened():
            return Now(told.account_id, told.opening_balance, "opened")
        case MoneyDeposited():
            if told.amount == POISON:
                raise ValueError("cannot be")
            return row and replace(row, balance=row.balance + told.amount, last="deposited")
        case MoneyWithdrawn():
            return row and replace(row, balance=row.balance - told.amount, last="withdrawn")


now = Projection("account_now", version=1, of=accounts, evolve=evolve, key="account_id", mode="inline")


KNOWN = {("account_now", 1): now}


@dataclass(frozen=True)
class SagaClient:
    """A store whose appends write the read model, and one of a server that does not know it."""

    store: Store
    inline: InlineProjections
    events: PostgresEvents
    elsewhere: PostgresEvents
    builds: ProjectionBuilds
    views: ReadModelQueries

    async def append(self, id: str, *told: object, by: PostgresEvents | None = None) -> None:
        await (by or self.events).append(moved(id, *told))

    async def balance(self, id: str) -> Any:
        row = await self.views.row("account_now", id)
        return row and row["balance"]

    @property
    def administration(self) -> ProjectionAdministration:
        return ProjectionAdministration(self.builds)

    async def follow(self) -> None:
        """Let a runner follow the feed to its end."""
        reader = self.store.reader
        for build in await self.builds.all("account_now"):
            target = BuildTarget("account_now", build.build)
            await Runner(now, target, self.store.projections, FeedNotifier(reader), f"test/{uuid4()}").catch_up()


def moved(id: str, *told: object) -> list[NewEvent]:
    return [new_business_event(accounts.stream(id), each, Cause()) for each in told]


def opened(id: str, balance: int = 0) -> AccountOpened:
    return AccountOpened(id, "Ann", "EUR", balance)


@asynccontextmanager
async def saga_client(url: URL) -> AsyncIterator[SagaClient]:
    async with store(url) as it:
        builds, inline = ProjectionBuilds(KNOWN, it.projections), InlineProjections(KNOWN, it.reader)
        await builds.create_first_builds()
        events = PostgresEvents(EventWriter(it.committer, inline), it.reader)
        views = ReadModelQueries(builds, events)
        yield SagaClient(it, inline, events, PostgresEvents(it.writer, it.reader), builds, views)
