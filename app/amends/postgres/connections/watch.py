"""Watches which run of Postgres answers, and whether one does, on a connection of its own."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import psycopg
from sqlalchemy import URL

from app.amends.postgres.connections.pool import detached_task
from app.amends.postgres.connections.sessions import Session, cut_connection
from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.urls import connection_settings, conninfo
from domain.amends.errors import Contended, Unavailable
from workflows.amends.values.printable import error_message

log = logging.getLogger("amends.store")

ANSWER_SECONDS: Final = 2.0
"""How long the database is waited for by whoever asks whether it answers."""
LEAST_SECONDS: Final = 0.5
NO_ANSWER: Final = f"no answer within {ANSWER_SECONDS:.0f} s"
LOOK_SECONDS: Final = 1.0
AWAY_LOOK_SECONDS: Final = 0.25
"""How often it is asked, while it answers and while it does not."""
SQL: Final = load_statements(Path(__file__).with_name("watch.sql"))
RESTORED: Final = (
    "it was restored from another server, whose transaction ids went further: nothing is written until its owner opens "
    'a new generation of the feed: ./run amends restored --reason "…"'
)
STANDBY: Final = "a standby answers, which cannot be written to"
Hearer = Callable[[], Coroutine[Any, Any, None]]


class DatabaseWatch:
    """`away` is why the database does not answer, None while it does.

    `on_silent` are called when it has not answered in time, though connections to it may stand.
    `on_moved` are called when another run of a server answers than before: it was started again, or another one has
    taken its place. Nothing comes of the connections from before any more then, also where they seem to stand: a server
    that is frozen keeps them, and so does a standby that becomes the primary.
    """

    def __init__(self, url: URL) -> None:
        self._url, self._hosts = url, len(str(url.query.get("host", "")).split(","))
        self._connection: Session | None = None
        self._asking: asyncio.Task[str | None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._away_since, self._warned = 0.0, 0.0
        self.away: str | None = None
        self.run: str | None = None
        self.unwritable: str | None = None
        """The reason why nothing is written, although the database answers and is read."""
        self.on_moved: list[Hearer] = []
        self.on_silent: list[Hearer] = []

    def start(self) -> None:
        """Watch until `stop`."""
        self._watching = asyncio.create_task(self._watch(), name="database watch")

    async def stop(self) -> None:
        """Stop watching, and close the connection."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        if self._asking is not None:
            await asyncio.wait({self._asking})
        await self._drop()

    def is_away(self) -> bool:
        """Whether it did not answer when it was asked last."""
        return self.away is not None

    @property
    def seconds_away(self) -> float:
        """For how many seconds it has not answered."""
        return time.monotonic() - self._away_since if self.away else 0.0

    async def ask_problem(self) -> str | None:
        """Ask now why the database does not answer; None if it does. Concurrent callers share the answer.

        A caller does not wait until all of several hosts have been tried.
        """
        asking = self._asking
        if asking is None or asking.done():
            asking = self._asking = detached_task(self._ask())
        done, _ = await asyncio.wait({asking}, timeout=ANSWER_SECONDS + LEAST_SECONDS)
        return asking.result() if done else self.away or NO_ANSWER

    async def wait_until_back(self, seconds: float) -> bool:
        """Wait until it answers; False if it has not in so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.away:
                    await self._changed.wait()
        return not self.away

    async def _watch(self) -> None:
        while True:  # noqa: ASYNC110 (it is the database that is asked)
            await asyncio.sleep(AWAY_LOOK_SECONDS if await self.ask_problem() else LOOK_SECONDS)

    async def _ask(self) -> str | None:
        asked_at = time.monotonic()
        problem, run = await self._answered()
        moved = run is not None and self.run is not None and run != self.run
        if run is not None:
            self.run = run
        self._note(problem, asked_at)
        if moved:
            log.warning("Another run of the database server answers: connections from before are given up.")
            for hear in self.on_moved:
                _ = detached_task(_call_until_answered(hear))
        return problem

    async def _answered(self) -> tuple[str | None, str | None]:
        """The problem, and the run of the server that answers."""
        asking, opens = asyncio.create_task(self._run()), self._connection is None or self._connection.closed
        tried = self._hosts if opens else 1
        done, _ = await asyncio.wait({asking}, timeout=tried * ANSWER_SECONDS + (LEAST_SECONDS if opens else 0.0))
        if not done:
            _ = detached_task(_given_up(asking, self._connection))
            self._connection = None
            for hear in self.on_silent:
                _ = detached_task(hear())
            return NO_ANSWER, None
        try:
            run = asking.result()
        except (psycopg.Error, OSError) as error:
            await self._drop()
            return error_message(error), None
        if run is None:
            await self._drop()  # one that was opened to a standby would survive its promotion
            return STANDBY, None
        return None, run

    async def _run(self) -> str | None:
        if self._connection is None or self._connection.closed:
            named = connection_settings(self._url, "watch") | {"connect_timeout": int(ANSWER_SECONDS)}
            self._connection = await Session.connect(conninfo(self._url), prepare_threshold=0, **named)
        row = await (await self._connection.execute(SQL["run"])).fetchone()
        assert row is not None
        self._note_order(is_ahead=bool(row[1]))
        run: str | None = row[0]
        return run

    def _note_order(self, is_ahead: bool) -> None:
        """Log once that nothing is written, and once that writing goes on."""
        before, self.unwritable = self.unwritable, RESTORED if is_ahead else None
        if self.unwritable and not before:
            log.error("The database is not written to: %s", self.unwritable)
        if before and not self.unwritable:
            log.warning("The database is written to again.")

    def _note(self, problem: str | None, asked_at: float) -> None:
        """Log when the database goes away and when it is back; again for another reason, or after twice the time."""
        now, away = time.monotonic(), self.away
        if problem and not away:
            self._away_since, self._warned = asked_at, 0.0
        self.away = problem
        if problem and (now - self._away_since >= self._warned or problem != away):
            log.warning("The database does not answer for %.1f s: %s", now - self._away_since, problem)
            self._warned = 2 * (now - self._away_since) + 1.0
        if away and not problem:
            log.warning("The database answers again, after %.1f s.", now - self._away_since)
        if bool(away) != bool(problem):
            self._changed.set()
            self._changed = asyncio.Event()

    async def _drop(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None


async def _call_until_answered(hear: Hearer) -> None:
    """Call a hearer, again and again until the database answers it."""
    while True:
        try:
            await hear()
        except (Unavailable, Contended):
            await asyncio.sleep(LOOK_SECONDS)
        except Exception:
            log.exception("What has to be done in another run of the database server is not done.")
            break
        else:
            break


async def _given_up(asking: asyncio.Task[str | None], connection: Session | None) -> None:
    """Cut off a connection that does not answer, and clean up after it."""
    if connection is None:
        asking.cancel()
    else:
        cut_connection(connection)
    await asyncio.wait({asking})
    if connection is not None:
        await connection.close()
    if not asking.cancelled():
        asking.exception()  # nobody wants to know
