"""Whether the database answers, asked beside everything else, and whether this process still gets through to it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import PoolTimeout
from sqlalchemy import URL

from app.store.database import asked, connect, unheard
from app.store.reader import Reader
from workflows.said import said

log = logging.getLogger("amends.store")

ANSWER_SECONDS: Final = 2.0
"""How long the database is waited for by whoever asks whether it answers."""
LOOK_SECONDS: Final = 5.0
UNFIT_SECONDS: Final = 60.0
"""So long no read may come through while the database answers: no statement takes a quarter of that, and those who wait
for a connection have their turns one after the other."""


class Probe:
    """A connection of its own: neither many reads nor slow ones stand before it."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._connection: AsyncConnection[TupleRow] | None = None
        self._asking: asyncio.Task[str | None] | None = None

    async def problem(self) -> str | None:
        """Why the database does not answer, None if it does. Those who ask at the same time share the answer."""
        if self._asking is None or self._asking.done():
            self._asking = unheard(self._ask())
        return await asyncio.shield(self._asking)

    async def stop(self) -> None:
        """Close the connection."""
        if self._asking is not None:
            await asyncio.wait({self._asking})
        await self._drop()

    async def _ask(self) -> str | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if self._connection is None or self._connection.closed:
                    self._connection = await connect(self._url, "probe")
                await self._connection.execute("select 1")
        except TimeoutError:
            await self._drop()
            return f"no answer within {ANSWER_SECONDS:.0f} s"
        except (psycopg.Error, OSError) as error:
            await self._drop()
            return said(error)
        return None

    async def _drop(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error, OSError):
                await self._connection.close()
            self._connection = None


class Serving:
    """Sees whether reads of this process come through while the database answers; `unfit` is called once if not."""

    def __init__(self, reader: Reader, probe: Probe, unfit: Callable[[], None]) -> None:
        self._reader, self._probe, self._unfit = reader, probe, unfit
        self.problem: str | None = None
        """Why this process cannot serve any more, None while it can."""

    async def watch(self) -> None:
        """Look again and again, until it cannot."""
        well = time.monotonic()
        while self.problem is None:
            await asyncio.sleep(LOOK_SECONDS)
            if await self._comes_through() or await self._probe.problem() is not None:
                well = time.monotonic()
            elif (seconds := time.monotonic() - well) > UNFIT_SECONDS:
                self.problem = f"The database answers, but no read of this process has come through for {seconds:.0f} s"
                log.error("%s: it ends, so that it is started again and others take over.", self.problem)
                self._unfit()

    async def _comes_through(self) -> bool:
        async def look(connection: AsyncConnection[TupleRow]) -> None:
            await connection.execute("select 1")

        try:
            await asked(self._reader.pool, None, look)
        except (psycopg.Error, OSError, PoolTimeout) as error:
            log.debug("A read does not come through: %s", said(error))
            return False
        return True
