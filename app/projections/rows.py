"""The rows of one build as its runner has them at hand: read when they are needed first, kept while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from app.projections import SQL
from app.store.reader import Reader
from domain.projection import Projection
from workflows.codec import adapter

ROOM = 100_000
"""How many rows are kept in memory."""


class Rows:
    """Rows by key; None for one that is not in the table. Only a runner that has the lease may trust them."""

    def __init__(self, projection: Projection[Any, Any], name: str, build: int, reader: Reader) -> None:
        self._where, self._reader = (name, build), reader
        self._key = projection.key
        self._list, self._one = adapter(list[projection.row]), adapter(projection.row)  # type: ignore[name-defined]
        self._kept: OrderedDict[str, Any] = OrderedDict()

    async def of(self, keys: Iterable[str]) -> dict[str, Any]:
        """The rows with these keys."""
        wanted = list(dict.fromkeys(keys))
        missing = [key for key in wanted if key not in self._kept]
        if missing:
            found = dict.fromkeys(missing)
            answer = await self._reader.tuples(SQL["get_rows"], (*self._where, missing), patience=None)
            for row in self._list.validate_json(answer[0][0]):
                found[getattr(row, self._key)] = row
            self._kept.update(found)
        return {key: self._kept[key] for key in wanted}

    def keep(self, changed: Mapping[str, Any]) -> None:
        """Take note of rows that were written."""
        for key, row in changed.items():
            self._kept[key] = row
            self._kept.move_to_end(key)
        while len(self._kept) > ROOM:
            self._kept.popitem(last=False)

    def json(self, rows: Iterable[Any]) -> str:
        """Rows as a JSON array, as the database's functions take them."""
        return self._list.dump_json(list(rows)).decode()

    def one(self, row: Any) -> str:
        """One row as JSON."""
        return self._one.dump_json(row).decode()
