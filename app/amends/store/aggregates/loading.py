"""Loads aggregates on connections of its own, as they are now or were at some point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from psycopg.rows import TupleRow

from app.amends.postgres.statements.reader import Reader
from app.amends.store.aggregates.states import NEWEST, States
from domain.amends.aggregate import Aggregate

S = TypeVar("S")
E = TypeVar("E")


class Loading:
    """Reads outside transactions."""

    def __init__(self, states: States, reader: Reader) -> None:
        self._states, self._reader = states, reader

    async def load(self, aggregate: Aggregate[S, E], stream: str, until: int = NEWEST) -> tuple[S, int]:
        """The state at a version, or the newest one; and the version that it has."""

        async def ask(statement: str, parameters: Mapping[str, Any]) -> list[TupleRow]:
            return await self._reader.tuples(statement, parameters)

        return await self._states.load(aggregate, stream, ask, until)
