"""The command line's look at the database, with or without a running server."""

from __future__ import annotations

import getpass
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import URL

from app.catalogue import Catalogue, catalogue
from app.masks import Masks
from app.projections.acts import Acts
from app.projections.builds import Builds
from app.register import Register
from app.store.committer import Committer
from app.store.database import Pool
from app.store.events import PostgresEvents
from app.store.history import History
from app.store.loading import Loading
from app.store.overview import Overview
from app.store.reader import Reader
from app.store.sagas import PostgresSagas
from app.store.shapes import PostgresShapes, SagaKinds
from app.store.states import States
from app.store.tail import Tail
from domain.event import Cause
from workflows.durable.desk import Desk


@dataclass(frozen=True)
class Console:
    """What the commands use; what they start is queued, and a server takes it."""

    desk: Desk
    overview: Overview
    events: PostgresEvents
    history: History
    catalogue: Catalogue
    register: Register
    masks: Masks
    reader: Reader
    committer: Committer
    tail: Tail
    builds: Builds
    acts: Acts

    @property
    def cause(self) -> Cause:
        """Who sits at the command line."""
        return Cause(actor=f"cli:{getpass.getuser()}")


@asynccontextmanager
async def console(url: URL) -> AsyncIterator[Console]:
    """Open the database for a few commands."""
    from app.processes import sagas, unconnected

    readers, committer = Pool(url, 2), Committer(url, 1)
    async with readers:
        committer.start()
        reader, states, known = Reader(readers), States(committer, sys.maxsize), catalogue()
        tail = Tail(reader)
        try:
            desk = Desk(sagas(unconnected(), 0), PostgresSagas(committer, reader, states))
            events, loading = PostgresEvents(committer, reader), Loading(states, reader)
            definitions, shapes = [saga.definition for saga in desk.sagas.values()], PostgresShapes(committer, reader)
            register = Register.of(known, definitions, shapes)
            masks = Masks(register, SagaKinds(reader))
            history = History(events, loading, reader)
            builds = Builds(known.projections, reader)
            acts = Acts(builds, reader, tail.nudge)
            overview = Overview(reader)
            yield Console(
                desk, overview, events, history, known, register, masks, reader, committer, tail, builds, acts
            )
        finally:
            await tail.stop()
            await committer.stop()
