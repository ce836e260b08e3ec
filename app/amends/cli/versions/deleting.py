"""Says of old versions of sagas whether somebody still needs their code, or their file may be deleted."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.amends.store.sagas.versions import VersionUse
from workflows.amends.definition import Definition
from workflows.amends.saga import Saga


@dataclass(frozen=True)
class OldVersion:
    """A version that the code has a newer one of; `parents` are the sagas whose code starts it as their child."""

    name: str
    version: int
    file: str
    parents: Sequence[str]
    use: VersionUse

    @property
    def is_deletable(self) -> bool:
        """Whether nobody needs its code any more."""
        return not self.parents and not self.use.is_needed

    def line(self) -> str:
        """What is said of it."""
        if self.is_deletable:
            return (
                f"{self.name}:{self.version}  nobody needs it any more: delete {self.file}, and its line in sagas=[…]"
            )
        return f"{self.name}:{self.version}  {self.file} is needed: {', '.join(self._needs())}"

    def _needs(self) -> Iterator[str]:
        use = self.use
        needs = {
            "not finished": use.unfinished,
            "terminated in DBOS's tools": use.abandoned,
            "completed as children of sagas that are not finished": use.children,
            "forked and not run yet": use.forks,
            "servers that start it": use.servers,
        }
        yield from (f"{count} {words}" for words, count in needs.items() if count)
        if self.parents:
            yield f"{' and '.join(self.parents)} start it"

    def json(self) -> dict[str, Any]:
        """The same as plain JSON data."""
        of = {"name": self.name, "version": self.version, "file": self.file, "deletable": self.is_deletable}
        return of | vars(self.use) | {"parents": list(self.parents)}


def old_versions(
    sagas: Mapping[tuple[str, int], Saga[Any, Any]], uses: Mapping[tuple[str, int], VersionUse], root: Path
) -> list[OldVersion]:
    """Those of these sagas that there is a newer version of, with what needs them."""
    newest = dict(sorted(sagas))  # of each name the last one stays
    return [
        OldVersion(
            name,
            version,
            _file(saga.definition, root),
            _parents(saga.definition, sagas),
            uses.get((name, version)) or VersionUse(),
        )
        for (name, version), saga in sorted(sagas.items())
        if version < newest[name]
    ]


def _file(definition: Definition, root: Path) -> str:
    found = Path(getattr(sys.modules.get(definition.module), "__file__", None) or definition.module)
    return str(found.relative_to(root) if found.is_relative_to(root) else found)


def _parents(child: Definition, sagas: Mapping[tuple[str, int], Saga[Any, Any]]) -> list[str]:
    return [saga.definition.saga_type for saga in sagas.values() if child in saga.definition.children]
