"""Amends as it is served, without HTTP: its committer, its repository and its feed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from typing import NamedTuple
from uuid import uuid4

from sqlalchemy import URL

from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.statements.committer import Committer
from app.amends.postgres.statements.reader import Reader
from app.amends.store.aggregates.loader import AggregateLoader
from app.amends.store.aggregates.repository import Repository
from app.amends.store.events.postgres_events import PostgresEvents
from app.amends.store.events.writer import EventWriter
from benchmarks.store.measuring import Figures, Watch, tasks
from benchmarks.store.sizes import ACCOUNTS, EVENTS_BEFORE, FEED, loaded
from domain.amends.event import Cause
from domain.amends.expected import NONE, exact
from domain.banking.account import AccountOpened, accounts, deposit
from domain.banking.account import MoneyDeposited as Deposited
from workflows.amends.ids import new_id
from workflows.amends.ports.event_store import START, NewEvent, new_business_event

CONNECTIONS = 8
SNAPSHOT_EVERY = 500
FORGET = "delete from amends.snapshots where stream = %s"


class Store(NamedTuple):
    """What a service has of the event store."""

    events: PostgresEvents
    repository: Repository
    loader: AggregateLoader
    committer: Committer


@asynccontextmanager
async def store(url: URL, snapshot_every: int = SNAPSHOT_EVERY) -> AsyncIterator[Store]:
    """The event store of one process."""
    async with Pool(url, CONNECTIONS) as readers:
        committer, reader = Committer(url, CONNECTIONS), Reader(readers)
        committer.start()
        events, loader = (
            PostgresEvents(EventWriter(committer), reader),
            AggregateLoader(committer, reader, snapshot_every),
        )
        try:
            yield Store(events, Repository(events, loader), loader, committer)
        finally:
            await loader.settle()
            await committer.stop()


def deposits(stream: str, number: int) -> list[NewEvent]:
    """What one decision makes of so many deposits, made anew for each append."""
    cause = Cause(correlation_id=str(new_id()))
    return [new_business_event(stream, Deposited(1), cause) for _ in range(number)]


async def append(url: URL, events: int, writers: int) -> Figures:
    """Every writer has a stream of its own and says which version it expects."""
    streams, versions = [f"account-{new_id()}" for _ in range(writers)], [0] * writers
    async with store(url) as here:

        async def write(mine: int) -> None:
            expected = {streams[mine]: exact(versions[mine])}
            await here.events.append(deposits(streams[mine], events), expected)
            versions[mine] += events

        return await tasks(write, writers)


async def append_anew(url: URL, events: int, writers: int) -> Figures:
    """Every append begins a stream of its own, whose name sorts anywhere among those that there are."""
    async with store(url) as here:

        async def write(_: int) -> None:
            stream = f"account-{uuid4()}"
            await here.events.append(deposits(stream, events), {stream: NONE})

        return await tasks(write, writers)


async def load(url: URL, events: int, snapshot_every: int = sys.maxsize) -> Figures:
    """One account, again and again, from its first event on."""
    key = loaded(events)
    async with store(url, snapshot_every) as here:
        await here.committer.run(FORGET, (accounts.stream(key),))
        account, version = await here.repository.load(accounts, key)
        assert account is not None
        assert (account.balance, version) == (events - 1, events)
        await here.loader.settle()
        return await tasks(lambda _: here.repository.load(accounts, key), 1)


async def load_kept(url: URL, events: int) -> Figures:
    """The same from the snapshot that the first load leaves, if the account is long enough for one."""
    return await load(url, events, SNAPSHOT_EVERY)


async def decide(url: URL, writers: int) -> Figures:
    """Load, decide, append. Every writer goes round among accounts of its own, which stay short."""
    keys = [str(new_id()) for _ in range(ACCOUNTS)]
    mine = [cycle(keys[writer::writers]) for writer in range(writers)]
    async with store(url) as here:

        async def open_account(key: str) -> None:
            stream, opened = accounts.stream(key), AccountOpened(key, "Ada", "EUR", 0)
            before = deposits(stream, EVENTS_BEFORE - 1)
            await here.events.append([new_business_event(stream, opened, Cause()), *before], {stream: NONE})

        async def pay_in(writer: int) -> None:
            await here.repository.acting(Cause()).decide(accounts, next(mine[writer]), deposit, 1)

        await asyncio.gather(*map(open_account, keys))
        return await tasks(pay_in, writers)


async def feed(url: URL, size: int) -> Figures:
    """Pages of the feed, one after the other; that their order is right is looked at between them."""
    watch, after = Watch(), START
    async with store(url) as here:
        await here.events.feed(limit=1)
        for _ in range(FEED // size):
            with watch:
                page = await here.events.feed(after, size)
            assert len(page) == size
            for event in page:
                if event.cursor <= after:
                    raise AssertionError(f"{event.cursor} comes after {after} in the feed")
                after = event.cursor
    return watch.figures()
