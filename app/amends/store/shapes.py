"""Shapes in the database, noted by every server for all others, and the sagas that ids belong to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.statements.committer import Committer
from app.amends.postgres.statements.reader import Reader
from app.amends.schema.shapes import KnownShape, ShapeKey
from workflows.amends.values.codec import json_text, parse_json

SQL = load_statements(Path(__file__).with_name("shapes.sql"))
ROOM: Final = 10_000
"""Sagas whose name and version are kept in memory."""
ERRORS: Final = 1_000
"""Sagas whose errors are kept in memory at least."""


class PostgresShapes:
    """The table of shapes."""

    def __init__(self, committer: Committer, reader: Reader) -> None:
        self._committer, self._reader = committer, reader

    async def read(self, known: Collection[str]) -> list[KnownShape]:
        """The shapes that are noted, without those of these digests. Raises Unavailable."""
        rows = await self._reader.tuples(SQL["read"], (list(known),))
        found = [(kind, name, version, parse_json(shape), before) for kind, name, version, shape, before in rows]
        return [
            KnownShape(ShapeKey(*key), shape, tuple(before)) for *key, shape, before in found if isinstance(shape, dict)
        ]

    async def write(self, shapes: Sequence[KnownShape]) -> None:
        """Note shapes, for good; waits while the database is away."""
        items = [
            each.key._asdict() | {"digest": each.digest, "shape": each.shape, "before": each.before} for each in shapes
        ]
        if items:
            await self._committer.run(SQL["write"], (json_text(items),))


class PostgresSagaLookup:
    """Names and versions of sagas by their ids; those that were looked up are kept in memory."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._kept: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._errors: OrderedDict[str, list[dict[str, Any]]] = OrderedDict()

    async def on_new_server_run(self) -> None:
        """Another run of the server answers: an id may be that of another saga by now."""
        self._kept.clear()
        self._errors.clear()

    async def look_up(self, ids: Collection[str]) -> None:
        """Look up sagas that are not in memory. Raises Unavailable."""
        missing = [id for id in ids if id not in self._kept]
        if missing:
            for id, name, version in await self._reader.tuples(SQL["sagas"], (missing,)):
                self._kept[id] = name, version
        while len(self._kept) > max(ROOM, len(ids)):
            self._kept.popitem(last=False)

    def saga_type(self, id: str) -> tuple[str, int] | None:
        """A saga's name and version; None if it was not looked up, or does not exist."""
        return self._kept.get(id)

    async def look_up_errors(self, ids: Collection[str], names: Collection[str]) -> None:
        """Look up the errors of these names that these sagas, their parents and children met.

        They are read anew each time. Raises Unavailable.
        """
        for id, errors in await self._reader.tuples(SQL["errors"], (list(ids), list(names))):
            self._errors[id] = parse_json(errors)
            self._errors.move_to_end(id)
        while len(self._errors) > max(ERRORS, len(ids)):
            self._errors.popitem(last=False)

    def errors(self, id: str) -> Sequence[dict[str, Any]] | None:
        """These errors, with their facts; None if they were not looked up."""
        return self._errors.get(id)
