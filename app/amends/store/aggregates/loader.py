"""Loads aggregates: their events are folded from the last snapshot on, and snapshots are taken on the way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from psycopg.rows import TupleRow
from pydantic import ValidationError

from app.amends.postgres.statements.committer import Committer
from app.amends.postgres.statements.reader import Reader
from app.amends.store.aggregates import SQL
from app.amends.store.code_fingerprint.fingerprint import code_version
from domain.amends.aggregate import Aggregate
from domain.amends.errors import AmendsError, TooLarge, Unstorable
from domain.amends.event import EventType
from workflows.amends.ports.event_store import load_event_json
from workflows.amends.ports.stream_history import NEWEST
from workflows.amends.values.codec import exact_text, load_exact_text
from workflows.amends.values.limits import Limits
from workflows.amends.values.printable import error_message

S = TypeVar("S")
E = TypeVar("E")

PAGE = 2000
"""Events that are folded at a time: other work of the event loop goes on in between."""
PATIENCE = 5.0

Ask = Callable[[str, Mapping[str, Any]], Awaitable[list[TupleRow]]]
"""Runs a read and returns its rows as tuples."""

log = logging.getLogger("amends.store")


class AggregateLoader:
    """Loads aggregates. After `every` events that were folded a snapshot is taken, off the reader's way."""

    def __init__(self, committer: Committer, reader: Reader, every: int, limit: int = Limits().value) -> None:
        self._committer, self._reader, self._every, self._limit = committer, reader, every, limit
        self._keeping: dict[str, asyncio.Task[None]] = {}

    async def load(
        self, aggregate: Aggregate[S, E], stream: str, until: int = NEWEST, ask: Ask | None = None
    ) -> tuple[S, int]:
        """The state after the event with version `until`, and the version that it has; 0 before the first event.

        It is read with `ask`, as in a transaction, or else by itself.
        """
        ask = ask or self._reader.tuples
        code = code_version(aggregate)
        rows = await ask(SQL["load"], {"stream": stream, "code": code or "", "until": until, "limit": PAGE})
        state, version, folded = aggregate.initial_state(), 0, 0
        if rows and rows[0][1] is None:
            version, _, _, kept = rows.pop(0)
            try:
                state = load_exact_text(kept, aggregate.state_type)
            except ValidationError:
                log.warning("The snapshot of %s at version %d is not readable; it is not used.", stream, version)
                return await self._from_the_beginning(aggregate, stream, ask, until)
        while rows:
            state, version = self._fold(aggregate, rows, state), rows[-1][0]
            folded += len(rows)
            more = {"stream": stream, "after": version, "until": until, "limit": PAGE}
            rows = await ask(SQL["fold"], more) if len(rows) == PAGE else []
        if code and folded >= self._every:
            self._keep_soon(aggregate, stream, code, version, state)
        return state, version

    async def settle(self) -> None:
        """Return once no snapshot is being written."""
        await asyncio.gather(*self._keeping.values(), return_exceptions=True)

    async def _from_the_beginning(self, aggregate: Aggregate[S, E], stream: str, ask: Ask, until: int) -> tuple[S, int]:
        state, version = aggregate.initial_state(), 0
        while rows := await ask(SQL["fold"], {"stream": stream, "after": version, "until": until, "limit": PAGE}):
            state, version = self._fold(aggregate, rows, state), rows[-1][0]
        return state, version

    def _fold(self, aggregate: Aggregate[S, E], rows: list[TupleRow], state: S) -> S:
        vocabulary = aggregate.vocabulary
        events = (load_event_json(vocabulary, EventType(name, version), json) for _, name, version, json in rows)
        return aggregate.fold(events, state)

    def _keep_soon(self, aggregate: Aggregate[S, E], stream: str, code: str, version: int, state: S) -> None:
        if stream not in self._keeping:
            task = asyncio.create_task(self._keep(aggregate, stream, code, version, state), name=f"snapshot {stream}")
            self._keeping[stream] = task
            task.add_done_callback(lambda _: self._keeping.pop(stream, None))

    async def _keep(self, aggregate: Aggregate[S, E], stream: str, code: str, version: int, state: S) -> None:
        """Keep a snapshot, if the state comes back from JSON as it is."""
        try:
            snapshot = exact_text(state, aggregate.state_type, f"the state of {stream}", self._limit)
            await self._committer.run(SQL["snapshot"], (stream, code, version, snapshot), PATIENCE)
            await self._committer.run(SQL["forget_snapshots"], (stream, code), PATIENCE)
        except AmendsError as error:
            level = logging.WARNING if isinstance(error, Unstorable | TooLarge) else logging.DEBUG
            log.log(level, "No snapshot of %s is kept: %s", stream, error)
        except Exception as error:
            log.warning("No snapshot of %s is kept: %s", stream, error_message(error))
