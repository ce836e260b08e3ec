"""Waits until a read model has got to what somebody wrote."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias
from uuid import UUID

from app.amends.postgres.statements.reader import Reader
from app.amends.postgres.statements.waiter import Waiter
from app.amends.projections import SQL

LOOK_SECONDS = 0.01
"""How often it is asked while somebody waits."""

Place: TypeAlias = tuple[int, int, int, UUID | None]
"""A feed cursor with its event."""


def cursor_waiter(name: str, reader: Reader) -> Waiter[Place, bool]:
    """Waits until the live table of a read model has got to a place; False for one that does not stand any more."""

    async def ask(places: Collection[Place]) -> dict[Place, bool]:
        wanted = list(places)
        columns = [list(column) for column in zip(*wanted, strict=True)]
        rows = await reader.tuples(SQL["reached"], (*columns, name))
        return {wanted[number - 1]: stands for number, stands in rows}

    return Waiter(name, ask, LOOK_SECONDS)
