"""Follows the feed for one table of a read model: rows and checkpoint in one commit, and no other runner beside it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from app.projections import SQL
from app.projections.counting import count
from app.projections.feed import Feed, Stretch
from app.projections.folding import Aside, Folded, fold
from app.projections.misfits import set_misfits_aside
from app.projections.rows import Rows
from app.store.committer import Committer, Unavailable
from app.store.reader import Reader
from app.store.resending import unstorable
from app.store.sqlstates import Verdict, verdict
from app.store.tail import Tail
from domain.errors import Contended, Unstorable
from domain.projection import Projection
from domain.vocabulary import NewerEvent
from workflows.codec import text
from workflows.durable.tasks import end
from workflows.events import Place

log = logging.getLogger("amends.projections")

LEASE = timedelta(seconds=10)
RENEW_SECONDS = 3.0
"""How often a runner that has nothing to write says that it is still there, and how far it has looked."""
GIVE_BACK_SECONDS = 2.0
LOOK_SECONDS = 1.0
"""How often a runner that waits for new events looks whether a person wants something."""
SMALL, LARGE = 500, 5_000
"""How many events a commit takes at least and at most while there are more to come."""
LONGEST_COMMIT = 0.1
"""How long a commit may take, in seconds, before the next ones take fewer events: an open one holds the feed back."""


class Lost(Exception):
    """Somebody else follows the feed for this table now, or it was dropped; nothing was written."""


@dataclass(frozen=True)
class Target:
    """A table of a read model."""

    name: str
    build: int


class Runner:
    """One runner of one table, in this process.

    `token` is its name in the lease: `<executor>/<anything>`, another one for each that may run at the same time.
    """

    def __init__(
        self,
        projection: Projection[Any, Any],
        target: Target,
        committer: Committer,
        reader: Reader,
        tail: Tail,
        token: str,
    ) -> None:
        self.projection, self.target, self.reader = projection, target, reader
        self._committer, self._tail = committer, tail
        self._token = token
        self._feed = Feed(projection, target.build, reader)
        self._rows = Rows(projection, *self._where, self._ask)
        self._place, self._looked = Place(), Place()
        self._waiting: set[str] = set()
        self._limit, self._renewed_at = SMALL, 0.0
        self._caught_up = False
        self._ahead: asyncio.Task[Stretch] | None = None
        self._writing: asyncio.Task[bool] | None = None
        self._counting: asyncio.Task[None] | None = None
        self.wished = False
        """Whether a person wants something to be done about what is set aside."""

    @property
    def _where(self) -> tuple[str, int]:
        return self.target.name, self.target.build

    async def run(self) -> None:
        """Take the lease and follow the feed until the lease is lost; returns at once if somebody else has it."""
        (taken,) = await self._committer.run(SQL["take"], (*self._where, self._token, LEASE))
        if not taken[0]:
            return
        try:
            await self._begin()
            while True:
                await self._turn()
        except Lost:
            log.info("%s build %d is followed elsewhere now, or was dropped.", *self._where)
        except NewerEvent as newer:
            log.warning("%s build %d waits for newer code: %s", *self._where, newer)
            await self._committer.run(SQL["failed"], (str(newer), *self._where))
        finally:
            await self._give_back()

    async def catch_up(self) -> None:
        """Follow the feed to its end once, if nobody else does. Raises Lost if somebody does."""
        (taken,) = await self._committer.run(SQL["take"], (*self._where, self._token, LEASE))
        if not taken[0]:
            raise Lost
        try:
            await self._begin()
            while not self._caught_up:
                await self._turn()
        finally:
            await self._give_back()

    async def _give_back(self) -> None:
        await end(self._ahead, self._writing, self._counting)
        self._ahead = self._writing = None
        with suppress(Unavailable, Contended):  # then it is over soon
            await self._committer.run(SQL["give_back"], (*self._where, self._token), GIVE_BACK_SECONDS)

    async def _begin(self) -> None:
        """Read how far the table has got: whoever had the lease before may have written until now."""
        row = next((each for each in await self._builds() if each["build"] == self.target.build), None)
        if row is None or row["runner"] != self._token:
            raise Lost
        self._place = self._looked = Place(row["generation"], row["transaction_id"], row["position"])
        self._caught_up = self._caught_up and row["caught_up_at"] is not None
        self._renewed_at = time.monotonic()
        if row["caught_up_at"] is None and not row["expected"] and self._counting is None:
            self._counting = asyncio.create_task(self._count())
        if self._ahead:
            self._ahead.cancel()
            self._ahead = None
        keys = await self.reader.tuples(SQL["aside_keys"], self._where, patience=None)
        self._waiting = {key for (key,) in keys}
        self._rows = Rows(self.projection, *self._where, self._ask)

    async def _count(self) -> None:
        expected = await count(self.reader, self._feed.types)
        await self._committer.run(SQL["expect"], {"expected": expected} | vars(self.target))

    async def _ask(self, statement: str, parameters: Sequence[Any]) -> list[TupleRow]:
        return await self.reader.tuples(statement, parameters, patience=None)

    async def _builds(self) -> list[dict[str, Any]]:
        return await self.reader.rows(SQL["builds"], {"name": self.target.name}, patience=None)

    async def _turn(self) -> None:
        """One stretch of the feed, or a wait for more. While there is more, one is folded while the last is written."""
        if self.wished and await self._written():
            self.wished = False
            await self._grant_wishes()
        stretch = await (self._ahead or self._feed.after(self._looked, self._limit))
        self._ahead = None
        if stretch.end is None:
            if await self._written():
                await self._rest()
            return
        if stretch.full:
            self._ahead = asyncio.create_task(self._feed.after(stretch.end, self._limit))
        folded = await fold(self.projection, stretch.rows, self._rows, self._waiting)
        if not await self._written():
            return  # the one before had to leave something out: this one is folded anew
        self._looked = stretch.end
        if folded.changed or folded.aside or (not stretch.full and (stretch.rows or not self._caught_up)):
            self._writing = asyncio.create_task(self._write(folded, caught_up=not stretch.full))
            if not stretch.full or self._rows.inline:
                await self._written()
        else:
            await self._renew()

    async def _written(self) -> bool:
        """Wait until what is being written stands; False if it is not what was folded. Raises Lost."""
        if self._writing is None:
            return True
        writing, self._writing = self._writing, None
        if await writing:
            return True
        await self._begin()
        return False

    def _adapt(self, seconds: float) -> None:
        grown = self._limit * 2 if seconds < LONGEST_COMMIT / 2 else self._limit
        self._limit = min(max(self._limit // 2 if seconds > LONGEST_COMMIT else grown, SMALL), LARGE)

    async def _rest(self) -> None:
        """The end of the feed: say so once, and wait for more."""
        if not self._caught_up:
            await self._write(Folded(), caught_up=True)
            return
        await self._renew()
        await self._tail.beyond(self._looked, LOOK_SECONDS)

    async def _renew(self) -> None:
        if time.monotonic() - self._renewed_at > RENEW_SECONDS:
            await self._write(Folded(), caught_up=self._caught_up)

    async def _grant_wishes(self) -> None:
        wishes = await self.reader.tuples(SQL["wishes"], self._where, patience=None)
        for key, wish in wishes:
            found = await self.reader.tuples(SQL["aside_events"], (*self._where, key), patience=None)
            folded = await fold(
                self.projection, found[1:] if wish == "skip" else found, self._rows, self._waiting - {key}
            )
            if not await self._write(folded, caught_up=self._caught_up, cleared=[key]):
                await self._begin()
            log.info("%s: %s of %s.", self.target.name, wish, key)

    def _write(self, folded: Folded, caught_up: bool, cleared: Iterable[str] = ()) -> Coroutine[Any, Any, bool]:
        """Begin to commit a fold: what comes next is folded onto it. The answer is False if it had to be changed.

        Raises Lost.
        """
        known = self._waiting - set(cleared)
        self._waiting = known | folded.aside.keys()
        self._rows.keep(folded.changed)
        return self._commit(folded, self._looked, known, caught_up, list(cleared))

    async def _commit(self, folded: Folded, to: Place, known: set[str], caught_up: bool, cleared: list[str]) -> bool:
        began, fits = time.monotonic(), True
        try:
            stands = await self._committed(self._parameters(folded, to, known, caught_up, cleared))
        except Unstorable as refused:
            log.warning("%s: a row does not fit its table: %s", self.target.name, refused)
            await set_misfits_aside(self.projection, self._where, folded, self._rows, self._ask)
            stands, fits = await self._committed(self._parameters(folded, to, known, caught_up, cleared)), False
        if not stands:
            raise Lost
        self._place, self._renewed_at, self._caught_up = to, time.monotonic(), self._caught_up or caught_up
        self._adapt(self._renewed_at - began)
        for key, aside in folded.aside.items():
            if aside.error:
                log.warning("%s: %s is set aside: %s", self.target.name, key, aside.error)
        return fits

    def _parameters(
        self, folded: Folded, to: Place, known: set[str], caught_up: bool, cleared: list[str]
    ) -> dict[str, Any]:
        return {
            "name": self.target.name,
            "build": self.target.build,
            "runner": self._token,
            "lease": LEASE,
            "from": list(self._place),
            "to": list(to),
            "events": folded.events,
            "rows": self._rows.json(row for row in folded.changed.values() if row is not None),
            "gone": [key for key, row in folded.changed.items() if row is None],
            "cleared": cleared,
            "aside": _aside_json(folded.aside, known),
            "caught_up": caught_up,
        }

    async def _committed(self, parameters: Mapping[str, Any]) -> bool:
        """Write once. If the answer is lost, the checkpoint says whether it was carried out: it is read anew then."""
        try:
            async with self.reader.connection() as connection:
                row = await (await connection.execute(SQL["write"], parameters)).fetchone()
        except (psycopg.Error, UnicodeError) as refused:
            if verdict(refused, ours=True) is Verdict.NEVER:
                raise unstorable(refused) from refused
            raise
        return row is not None and bool(row[0])


def _aside_json(aside: Mapping[str, Aside], known: set[str]) -> str:
    """What is set aside as the database's function takes it: an error for what is new, none for what waits behind."""
    return text(
        [
            {"key": key, "error": None if key in known else each.error or "", "positions": each.positions}
            for key, each in aside.items()
        ]
    )
