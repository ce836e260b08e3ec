"""The command line's look at the database, with or without a running server."""

from __future__ import annotations

import getpass
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import URL

from app.store.committer import Committer
from app.store.database import pool
from app.store.feed import Feed
from app.store.overview import Overview
from app.store.reader import Reader
from app.store.sagas import PostgresSagas
from domain.event import Cause
from workflows.durable.desk import Desk


@dataclass(frozen=True)
class Console:
    """What the commands use; what they start is queued, and a server takes it."""

    desk: Desk
    overview: Overview
    feed: Feed
    reader: Reader

    @property
    def cause(self) -> Cause:
        """Who sits at the command line."""
        return Cause(actor=f"cli:{getpass.getuser()}")


@asynccontextmanager
async def console(url: URL) -> AsyncIterator[Console]:
    """Open the database for a few commands."""
    from app.main import sagas, unconnected

    readers, committer = pool(url, 2), Committer(url, 1)
    async with readers:
        committer.start()
        reader = Reader(readers)
        try:
            desk = Desk(sagas(unconnected()), PostgresSagas(committer, reader))
            yield Console(desk, Overview(reader), Feed(reader), reader)
        finally:
            await committer.stop()
