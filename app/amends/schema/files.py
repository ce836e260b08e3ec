"""The lock files of shapes: one of Amends, inside the package, and one of the project."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import domain.amends
from app.amends.schema import lock, samples
from app.amends.schema.catalogue import OURS, DomainCatalogue, load_catalogue
from app.amends.schema.lock import Lock, Shapes
from app.amends.schema.shapes import KnownShape, declared_shapes

PACKAGES = ("domain.amends", "workflows.amends", "app.amends")
OF_AMENDS = Path(domain.amends.__path__[0]) / "events.lock.json"


@dataclass(frozen=True)
class LockFiles:
    """The lock files of a project, whose own is below `root`. Only Amends' own checkout writes both."""

    root: Path

    @property
    def of_project(self) -> Path:
        """The project's own file."""
        return self.root / "domain" / "events.lock.json"

    @property
    def is_checkout_of_amends(self) -> bool:
        """Whether Amends' own file is the project's to write; that of a package in an environment below it is not."""
        return self.root / "domain" / "amends" == OF_AMENDS.parent

    def read(self, code: Sequence[KnownShape] = ()) -> Lock:
        """The shapes that are locked in both. `code` is asked for the marks of a file of the first format."""
        ours, theirs = lock.read_lock(OF_AMENDS, code), lock.read_lock(self.of_project, code)
        earlier = ours.earlier | theirs.earlier
        return Lock(ours.shapes | theirs.shapes, ours.before | theirs.before, ours.lifted | theirs.lifted, earlier)

    def write(self, locked: Lock) -> None:
        """Write the project's part into its file, and in Amends' own checkout the rest into the other one."""
        lock.write_lock(_part(locked, ours=False), self.of_project)
        if self.is_checkout_of_amends:
            lock.write_lock(_part(locked, ours=True), OF_AMENDS)

    def problems(self, known: DomainCatalogue, code: Sequence[KnownShape], locked: Lock) -> Iterator[str]:
        """The problems of the code and of the samples; each says what to do."""
        yield from lock.lock_problems(known, code, locked)
        for folder, shapes in self._samples(locked):
            yield from samples.sample_problems(known, shapes, folder)

    def write_samples(self, known: DomainCatalogue, locked: Lock, replacing: Collection[str]) -> list[Path]:
        """Write a sample of each locked version of an event that has none; returns those that were written."""
        events = [each.removeprefix("event:") for each in replacing]
        return [
            path
            for folder, shapes in self._samples(locked)
            for path in samples.write_samples(known, shapes, folder, events)
        ]

    def _samples(self, locked: Lock) -> Iterator[tuple[Path, Shapes]]:
        yield self.root / "tests" / "samples", _part(locked, ours=False).events
        if self.is_checkout_of_amends:
            yield self.root / "tests" / "amends" / "samples", _part(locked, ours=True).events


def own_schema_problems(checkout: Path) -> Iterator[str]:
    """What is wrong with Amends' own code, its own file and its own samples, whatever project stands beside them."""
    known, locked = load_catalogue(OURS), lock.read_lock(OF_AMENDS)
    yield from lock.lock_problems(known, list(declared_shapes(known, (), PACKAGES)), locked)
    yield from samples.sample_problems(known, locked.events, checkout / "tests" / "amends" / "samples")


def _part(locked: Lock, ours: bool) -> Lock:
    """The part of a lock that is Amends' own, or the rest."""
    names = _own_names()
    shapes = {key: shape for key, shape in locked.shapes.items() if ((key.kind, key.name) in names) == ours}
    before = {name: old for name, old in locked.before.items() if (("event", name) in names) == ours}
    return replace(
        locked,
        shapes=shapes,
        before=before,
        lifted={key: ways for key, ways in locked.lifted.items() if (key in names) == ours},
        earlier={key: old for key, old in locked.earlier.items() if ((key.kind, key.name) in names) == ours},
    )


@cache
def _own_names() -> frozenset[tuple[str, str]]:
    """Kind and name of everything that Amends itself stores, today or in its lock file."""
    today = declared_shapes(load_catalogue(OURS), (), PACKAGES)
    return frozenset((each.key.kind, each.key.name) for each in [*today, *lock.read_lock(OF_AMENDS).known()])
