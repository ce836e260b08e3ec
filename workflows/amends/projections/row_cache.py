"""A cache of the rows of one build for its writer: read when first needed, kept while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from domain.amends.projection import Projection, Recorded
from workflows.amends.ports.projection_builds import BuildTarget
from workflows.amends.projections.failures import unreadable_row
from workflows.amends.values.codec import parse_json, round_trip, type_adapter

ROOM = 100_000
"""How many rows are kept in memory."""

ReadRows = Callable[[BuildTarget, Sequence[str]], Awaitable[str]]
"""Reads rows of a build by their keys, as a JSON array: in a transaction, or by itself."""

LARGEST: Final = 64 * 1024 * 1024
"""The most bytes of a row as JSON."""


def as_read_back(projection: Projection[Any, Any], row: Any, key: str) -> Any:
    """A row as it will be read back from JSON. Raises Unstorable and TooLarge."""
    return None if row is None else round_trip(row, projection.row, f"the row of {key}", LARGEST)


class RowCache:
    """Rows by key; None for one that is not in the table.

    Rows of an inline read model have other writers too: they are read anew each time, with the version of their stream
    that is in them.
    """

    def __init__(self, projection: Projection[Any, Any], target: BuildTarget, read: ReadRows) -> None:
        self._target, self._of = target, read
        self._projection, self.name = projection, projection.name
        self._key, self.inline = projection.key, projection.mode == "inline"
        self._row = type_adapter(projection.row)
        self._list = type_adapter(list[projection.row])  # type: ignore[name-defined]
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self.versions: dict[str, int] = {}
        self.unreadable: dict[str, str] = {}
        """The reason why a row of the last read does not read back, by key."""

    async def load(self, keys: Iterable[str]) -> dict[str, Any]:
        """The rows with these keys, without those that do not read back, which are in `unreadable`."""
        wanted = list(dict.fromkeys(keys))
        if self.inline:
            self._kept.clear()
            self.versions.clear()
        self.unreadable.clear()
        missing = [key for key in wanted if key not in self._kept]
        if missing:
            self._kept.update(dict.fromkeys(missing))
            await self._load(missing)
        return {key: self._kept.get(key) for key in wanted}

    async def _load(self, keys: list[str]) -> None:
        """Read rows; one that does not read back is found by halves."""
        found = await self._of(self._target, keys)
        try:
            rows = self._read(found)
        except Exception as error:
            if len(keys) > 1:
                await self._load(keys[: len(keys) // 2])
                await self._load(keys[len(keys) // 2 :])
            else:
                del self._kept[keys[0]]
                self.unreadable[keys[0]] = unreadable_row("views.{}_{}".format(*self._target.as_tuple), error)
        else:
            self._kept.update((getattr(row, self._key), row) for row in rows)

    def _read(self, found: str) -> list[Any]:
        if self.inline:
            self.versions.update((each[self._key], each["_version"]) for each in parse_json(found))
        rows: list[Any] = self._list.validate_json(found, by_alias=True, by_name=True)
        return rows

    def next_row(self, row: Any, event: Recorded[Any], key: str) -> Any:
        """The row after one more event, as it will be read back from the table.

        Raises what the projection raises, and Unstorable for a row that would come back as another one.
        """
        return as_read_back(self._projection, self._projection.next_row(row, event, key), key)

    def note_written(self, changed: Mapping[str, Any]) -> None:
        """Keep rows that were written."""
        for key, row in changed.items():
            self._kept[key] = row
            self._kept.move_to_end(key)
        while len(self._kept) > ROOM:
            self._kept.popitem(last=False)

    def rows_json(self, rows: Iterable[Any]) -> str:
        """Rows as a JSON array, as the database's functions take them."""
        if self.inline:
            parts = (self.row_json(row) for row in rows)
            return f"[{','.join(parts)}]"
        return self._list.dump_json(list(rows), by_alias=False).decode()

    def row_json(self, row: Any) -> str:
        """One row as JSON."""
        shown = self._row.dump_json(row, by_alias=False).decode()
        if self.inline:
            return f'{shown[:-1]},"_version":{self.versions[getattr(row, self._key)]}}}'
        return shown
