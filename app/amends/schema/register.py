"""The register of shapes: those of the code, of the lock files, and of the other servers of the database."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

from app.amends.schema.catalogue import DomainCatalogue
from app.amends.schema.files import LockFiles
from app.amends.schema.lock import Lock
from app.amends.schema.shapes import Kind, KnownShape, loaded_shapes
from domain.amends.errors import Unavailable
from workflows.amends.definition import Definition
from workflows.amends.redaction.marking import UNKNOWN
from workflows.amends.redaction.shapes import Part, Path, Shape, marked_paths
from workflows.amends.redaction.visibility import Visibility

FRESH_SECONDS: Final = 1.0
"""After so long the shapes of other servers are read again, when something is to be shown."""
MOST_ASKED: Final = 10_000
"""The most unknown shapes that are remembered."""


class ShapeQuery(NamedTuple):
    """The shape by which a value is redacted; without a version all that it has had."""

    kind: Kind
    name: str
    version: str | None = None


class ShapeTable(Protocol):
    """The table in which all servers of a database note their shapes."""

    async def read(self, known: Collection[str]) -> list[KnownShape]:
        """The noted shapes, without those of these digests."""
        ...

    async def write(self, shapes: Sequence[KnownShape]) -> None:
        """Note shapes, for good."""
        ...


class ShapeRegister:
    """Shapes by kind, name and version; there may be several of each.

    A mark counts for all versions of a name, older and newer, and for the names that an event had before; the marks
    that the lock says are lifted count only where the code has them.
    """

    def __init__(
        self,
        code: Callable[[], Iterable[KnownShape]],
        lock: Callable[[Sequence[KnownShape]], Lock],
        table: ShapeTable | None = None,
    ) -> None:
        self._code, self._lock, self._table = code, lock, table
        self._own: list[KnownShape] | None = None
        self._shapes: defaultdict[tuple[str, str], list[tuple[str, Part]]] = defaultdict(list)
        self._lifted: dict[tuple[str, str], frozenset[Path]] = {}
        self._related: dict[str, set[str]] = {}
        self._digests: set[str] = set()
        self._forms: dict[ShapeQuery, Visibility] = {}
        self._marked_errors: frozenset[str] | None = None
        self._reading = asyncio.Lock()
        self._read_at = float("-inf")
        self._asked: dict[ShapeQuery, float] = {}

    @classmethod
    def of(
        cls,
        catalogue: DomainCatalogue,
        definitions: Sequence[Definition],
        locks: LockFiles,
        table: ShapeTable | None = None,
    ) -> ShapeRegister:
        """The register of one process and its database, if it has one."""
        return cls(lambda: loaded_shapes(catalogue, definitions), locks.read, table)

    def visibility(self, query: ShapeQuery) -> Visibility:
        """The form by which a value is redacted, by all known shapes."""
        self._load()
        form = self._forms.get(query)
        if form is None:
            names = self._names(query)
            marking = [part for name in names for _, part in self._shapes.get((query.kind, name), ())]
            found = self._shapes.get((query.kind, query.name), ())
            known = [part for version, part in found if query.version in (None, version)]
            lifted = [self._lifted.get((query.kind, name), frozenset()) for name in names]
            form = Visibility(known, marking, frozenset[Path]().union(*lifted))
            if known:  # what nobody knows is no reason to keep something
                self._forms[query] = form
        return form

    def errors_with_marks(self) -> frozenset[str]:
        """The names of the refusals and errors with marked facts: texts may repeat the values of these."""
        self._load()
        if self._marked_errors is None:
            self._marked_errors = frozenset(
                name
                for (kind, name), known in self._shapes.items()
                if kind in ("refusal", "error")
                and any(set(marked_paths(part.root).values()) - {UNKNOWN} for _, part in known)
            )
        return self._marked_errors

    async def note_shapes(self) -> None:
        """Note the shapes of this code, before anything of it is stored. Waits while the database is away."""
        if self._table is not None:
            own = self._load()
            there = {each.digest for each in await self._table.read(())}
            await self._table.write([each for each in own if each.digest not in there])

    async def refresh(self) -> None:
        """Have the shapes that others noted until a moment ago. Raises Unavailable."""
        if time.monotonic() - self._read_at > FRESH_SECONDS:
            await self._read(self._read_at)

    async def argument_shapes(self, saga_type: str, step: str) -> Sequence[Shape]:
        """The shapes that the arguments of a step have had: in the code, the lock, and on any server of the database.

        Those of all versions of the saga: an instance may have been moved from one to another. While the database is
        away they are those that were read before.
        """
        with suppress(Unavailable):
            await self.refresh()
        self._load()
        name = saga_type.partition(":")[0]
        return [part.root for _, part in self._shapes.get(("argument", f"{name}.{step}"), ())]

    async def look_for_missing(self, missing: Collection[ShapeQuery]) -> bool:
        """Whether one more look for missing shapes has found any; the same ones are not looked for again at once."""
        now = time.monotonic()
        new = [each for each in missing if now - self._asked.get(each, float("-inf")) > FRESH_SECONDS]
        if len(self._asked) > MOST_ASKED:
            self._asked.clear()
        self._asked.update(dict.fromkeys(new, now))
        return bool(new) and await self._read(self._read_at)

    async def _read(self, since: float) -> bool:
        if self._table is None:
            return False
        async with self._reading:
            if self._read_at != since:
                return True  # somebody else has just looked
            self._load()
            began = time.monotonic()
            found = await self._table.read(self._digests)
            self._add(found, lasting=False)
            self._read_at = began
            return bool(found)

    def _load(self) -> Sequence[KnownShape]:
        if self._own is None:
            self._own = list(self._code())
            self._add(self._own, lasting=True)
            lock = self._lock(self._own)
            self._lifted = lock.lifted
            self._add(lock.known(), lasting=False)
        return self._own

    def _add(self, shapes: Iterable[KnownShape], lasting: bool) -> None:
        for each in shapes:
            digest = each.digest
            if digest in self._digests:
                continue
            self._digests.add(digest)
            self._forms.clear()
            self._marked_errors = None
            kind, name, version = each.key
            self._shapes[kind, name].append((version, Part(each.shape, each.shape, lasting)))
            family = {name, *each.before} if kind == "event" else set[str]()
            for member in list(family):
                family |= self._related.get(member, set())
            self._related.update(dict.fromkeys(family, family))

    def _names(self, query: ShapeQuery) -> Collection[str]:
        """Its name, and those that an event had before or has now."""
        return self._related.get(query.name, {query.name}) if query.kind == "event" else {query.name}
