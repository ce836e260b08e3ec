"""Liveness of this process: whether it still reaches a database that answers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import PoolTimeout

from app.amends.postgres.connections.pool import read_once
from app.amends.postgres.connections.watch import DatabaseWatch
from app.amends.postgres.statements.reader import Reader
from workflows.amends.values.printable import error_message

log = logging.getLogger("amends.store")

LOOK_SECONDS: Final = 5.0
UNFIT_SECONDS: Final = 60.0
"""How long reads may fail while the database answers: no statement takes a quarter of that, and connections of the pool
are given out in turn."""


class Liveness:
    """Watches whether reads of this process succeed while the database answers; calls `unfit` once if they do not."""

    def __init__(self, reader: Reader, database: DatabaseWatch, unfit: Callable[[], None]) -> None:
        self._reader, self._database, self._unfit = reader, database, unfit
        self.problem: str | None = None
        """The reason why this process cannot serve any more, None while it can."""

    async def watch(self) -> None:
        """Watch until this process cannot serve any more."""
        well = time.monotonic()
        while self.problem is None:
            await asyncio.sleep(LOOK_SECONDS)
            if await self._comes_through() or await self._database.ask_problem() is not None:
                well = time.monotonic()
            elif (seconds := time.monotonic() - well) > UNFIT_SECONDS:
                self.problem = f"The database answers, but no read of this process has come through for {seconds:.0f} s"
                log.error("%s: it ends, so that it is started again and others take over.", self.problem)
                self._unfit()

    async def _comes_through(self) -> bool:
        async def look(connection: AsyncConnection[TupleRow]) -> None:
            await connection.execute("select 1")

        try:
            await read_once(self._reader.pool, None, look)
        except (psycopg.Error, OSError, PoolTimeout) as error:
            log.debug("A read does not come through: %s", error_message(error))
            return False
        return True
