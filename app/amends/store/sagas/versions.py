"""What still needs the code of a version of a saga, as far as the database knows; nothing is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.statements.reader import Reader
from workflows.amends.ports.recordings import UNFINISHED

SQL = load_statements(Path(__file__).with_name("versions.sql"))
OPEN: Final = (*UNFINISHED, "abandoned")


@dataclass
class VersionUse:
    """How many instances need a version: those that are not finished or were terminated, completed children that may
    be compensated yet, and forks that nobody has run; and how many servers start it, for they know no newer one."""

    unfinished: int = 0
    abandoned: int = 0
    children: int = 0
    forks: int = 0
    servers: int = 0

    @property
    def is_needed(self) -> bool:
        return any(vars(self).values())


class PostgresVersions:
    """The uses of all versions in a database."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def uses(self) -> Mapping[tuple[str, int], VersionUse]:
        """By name and version, those that have any; others have none. Raises Unavailable."""
        found = defaultdict[tuple[str, int], VersionUse](VersionUse)
        for row in await self._reader.rows(SQL["uses"], {"open": list(OPEN)}):
            setattr(found[row["name"], row["version"]], row["what"], row["count"])
        for row in await self._reader.rows(SQL["executors"], ()):
            for name, version in _started(row["kinds"]).items():
                found[name, version].servers += 1
        return found


def _started(saga_types: Sequence[str]) -> Mapping[str, int]:
    """By name, the version that a server starts which has code for these."""
    newest: dict[str, int] = {}
    for each in saga_types:
        name, _, version = each.rpartition(":")
        newest[name] = max(int(version), newest.get(name, 0))
    return newest
