"""What the store needs of read models that are written in the commit that appends (projections/applying/inline.py)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from workflows.amends.ports.event_store import NewEvent


class InlineWriter(Protocol):
    """Writes read models beside the events."""

    def concerns(self, events: Iterable[NewEvent]) -> bool:
        """Whether a read model is written in the commit of these events: such a commit cannot be shared."""
        ...

    async def commit(
        self,
        statement: str,
        parameters: Sequence[Any] | Mapping[str, Any],
        outcome: int,
        events: Sequence[NewEvent],
        patience: float | None = None,
    ) -> list[TupleRow]:
        """Run a statement that appends, and write the read models, in one commit; returns the statement's rows."""
        ...

    async def write(self, connection: AsyncConnection[TupleRow], events: Sequence[NewEvent]) -> None:
        """Write the read models in a transaction that has appended the events."""
        ...
